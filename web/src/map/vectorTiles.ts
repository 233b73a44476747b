// Layers for vector PMTiles in the basemap schema in common use (earth, water, landuse, roads, buildings, places).
import type { LayerSpecification } from 'maplibre-gl'
import { PMTiles, TileType } from 'pmtiles'

/** Null when the file holds pictures and not vectors. */
export async function vectorTileLayers(url: string, name: LayerSpecification['layout']): Promise<LayerSpecification[] | null> {
  const header = await new PMTiles(url).getHeader()
  if (header.tileType !== TileType.Mvt) return null
  const fill = (id: string, color: string): LayerSpecification => ({ id, type: 'fill', source: 'base', 'source-layer': id, paint: { 'fill-color': color } })
  const halo = { 'text-halo-color': '#0c1116', 'text-halo-width': 1.4 }
  const lines = (id: string, color: string, grow: number): LayerSpecification => ({
    id, type: 'line', source: 'base', 'source-layer': 'roads', layout: { 'line-cap': 'round', 'line-join': 'round' },
    paint: { 'line-color': color, 'line-width': ['interpolate', ['exponential', 1.5], ['zoom'], 10, 0.6 + grow, 14, 3 + grow, 18, 14 + grow * 2] },
  })
  return [
    fill('earth', '#141c23'), fill('landuse', '#17211f'), fill('water', '#16293a'), fill('buildings', '#1c262f'),
    lines('roads-casing', '#11171d', 1), lines('roads-fill', '#35444f', 0),
    { id: 'roads-name', type: 'symbol', source: 'base', 'source-layer': 'roads', minzoom: 13, layout: { ...name, 'symbol-placement': 'line', 'text-size': 11 }, paint: { 'text-color': '#8798a7', ...halo } } as LayerSpecification,
    { id: 'places-name', type: 'symbol', source: 'base', 'source-layer': 'places', layout: { ...name, 'text-size': 13 }, paint: { 'text-color': '#b7c5d1', ...halo } } as LayerSpecification,
  ]
}
