// The base map's style for each kind of source. Works with no internet: without a `glyphs` address MapLibre draws all letters with the
// fonts of this workstation, Chinese and Latin alike.
import type { LayerSpecification, SourceSpecification, StyleSpecification } from 'maplibre-gl'
import type { SystemInfo } from '@/api/types'
import type { Locale } from '@/lib/locale'
import { vectorTileLayers } from './vectorTiles'

export const FONT = ['Noto Sans SC', 'Noto Sans CJK SC', 'Microsoft YaHei', 'PingFang SC', 'sans-serif']
const GROUND = '#10161c'

const nameIn = (locale: Locale): LayerSpecification['layout'] => ({
  'text-field': locale === 'en' ? ['coalesce', ['get', 'name_en'], ['get', 'name'], ''] : ['coalesce', ['get', 'name'], ''],
  'text-font': FONT,
}) as LayerSpecification['layout']

const kind = (is: string) => ['==', ['get', 'kind'], is] as ['==', ['get', string], string]
const road = (...classes: string[]) => ['all', kind('road'), ['in', ['get', 'class'], ['literal', classes]]] as unknown as ReturnType<typeof kind>

interface RoadLook { id: string; classes: string[]; color: string; casing: string; width: [number, number, number]; from: number }
const ROADS: RoadLook[] = [
  { id: 'residential', classes: ['residential'], color: '#2a3742', casing: '#141b21', width: [0.5, 2, 9], from: 12 },
  { id: 'secondary', classes: ['secondary'], color: '#33434f', casing: '#131a20', width: [0.9, 3.2, 13], from: 0 },
  { id: 'primary', classes: ['primary'], color: '#3f5262', casing: '#121920', width: [1.3, 4.6, 17], from: 0 },
  { id: 'trunk', classes: ['trunk'], color: '#4f6375', casing: '#11171d', width: [1.8, 6, 21], from: 0 },
]

const wide = ([a, b, c]: [number, number, number], more: number) =>
  ['interpolate', ['exponential', 1.5], ['zoom'], 10, a + more * 0.5, 14, b + more, 18, c + more * 2] as unknown as number

function roads(): LayerSpecification[] {
  const casing = ROADS.map((look): LayerSpecification => ({
    id: `road-${look.id}-casing`, type: 'line', source: 'base', minzoom: look.from, filter: road(...look.classes),
    layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': look.casing, 'line-width': wide(look.width, 1.6) },
  }))
  const fill = ROADS.map((look): LayerSpecification => ({
    id: `road-${look.id}`, type: 'line', source: 'base', minzoom: look.from, filter: road(...look.classes),
    layout: { 'line-cap': 'round', 'line-join': 'round' }, paint: { 'line-color': look.color, 'line-width': wide(look.width, 0) },
  }))
  return [...casing, ...fill]
}

/** One place per named area to write its name: on the area itself it would be written once in every tile. */
export function namePoints(data: GeoJSON.FeatureCollection): GeoJSON.FeatureCollection {
  const features: GeoJSON.Feature[] = []
  for (const { geometry, properties } of data.features) {
    if (!properties?.name || (geometry.type !== 'Polygon' && geometry.type !== 'MultiPolygon')) continue
    const ring = geometry.type === 'Polygon' ? geometry.coordinates[0] : geometry.coordinates[0]?.[0]
    if (!ring?.length) continue
    const [lons, lats] = [ring.map((at) => at[0] ?? 0), ring.map((at) => at[1] ?? 0)]
    const middle = [(Math.min(...lons) + Math.max(...lons)) / 2, (Math.min(...lats) + Math.max(...lats)) / 2]
    features.push({ type: 'Feature', properties, geometry: { type: 'Point', coordinates: middle } })
  }
  return { type: 'FeatureCollection', features }
}

function geojsonLayers(locale: Locale): LayerSpecification[] {
  const halo = { 'text-halo-color': '#0c1116', 'text-halo-width': 1.4 }
  return [
    { id: 'district', type: 'fill', source: 'base', filter: kind('district'), paint: { 'fill-color': '#141c23' } },
    { id: 'green', type: 'fill', source: 'base', filter: kind('green'), paint: { 'fill-color': '#1a2c22' } },
    { id: 'water', type: 'fill', source: 'base', filter: kind('water'), paint: { 'fill-color': '#17304a' } },
    { id: 'water-line', type: 'line', source: 'base', filter: ['all', kind('water'), ['==', ['geometry-type'], 'LineString']], paint: { 'line-color': '#17304a', 'line-width': wide([2, 8, 40], 0) } },
    { id: 'building', type: 'fill', source: 'base', minzoom: 13.5, filter: kind('building'), paint: { 'fill-color': '#1c262f', 'fill-outline-color': '#25323d' } },
    ...roads(),
    { id: 'district-line', type: 'line', source: 'base', filter: kind('district'), paint: { 'line-color': '#5c7186', 'line-width': 1, 'line-dasharray': [4, 3], 'line-opacity': 0.6 } },
    { id: 'label-road', type: 'symbol', source: 'base', minzoom: 12.5, filter: road('trunk', 'primary', 'secondary'),
      layout: { ...nameIn(locale), 'symbol-placement': 'line', 'symbol-spacing': 380, 'text-size': 11, 'text-letter-spacing': 0.05 }, paint: { 'text-color': '#8798a7', ...halo } },
    { id: 'label-lane', type: 'symbol', source: 'base', minzoom: 15, filter: road('residential'),
      layout: { ...nameIn(locale), 'symbol-placement': 'line', 'symbol-spacing': 320, 'text-size': 10.5 }, paint: { 'text-color': '#76879a', ...halo } },
    { id: 'label-water', type: 'symbol', source: 'names', minzoom: 12, filter: kind('water'), layout: { ...nameIn(locale), 'text-size': 11.5 }, paint: { 'text-color': '#5f8db3', ...halo } },
    { id: 'label-green', type: 'symbol', source: 'names', minzoom: 13, filter: kind('green'), layout: { ...nameIn(locale), 'text-size': 11 }, paint: { 'text-color': '#6d9a7f', ...halo } },
    { id: 'label-place', type: 'symbol', source: 'base', filter: kind('place'), layout: { ...nameIn(locale), 'text-size': 13 }, paint: { 'text-color': '#b7c5d1', ...halo } },
    { id: 'label-district', type: 'symbol', source: 'names', maxzoom: 13.5, filter: kind('district'), layout: { ...nameIn(locale), 'text-size': 14, 'text-letter-spacing': 0.15 }, paint: { 'text-color': '#7f93a5', ...halo } },
  ]
}

export type LoadGeojson = () => Promise<GeoJSON.FeatureCollection>

export async function buildStyle(basemap: SystemInfo['basemap'], locale: Locale, loadGeojson: LoadGeojson): Promise<StyleSpecification> {
  const sources: Record<string, SourceSpecification> = {}
  const layers: LayerSpecification[] = [{ id: 'ground', type: 'background', paint: { 'background-color': GROUND } }]
  const attribution = basemap.attribution
  const darkened = { 'raster-brightness-max': 0.55, 'raster-saturation': -0.5, 'raster-contrast': 0.1 }
  const absolute = new URL(basemap.url || '/', location.origin).href.replace(/%7B/gi, '{').replace(/%7D/gi, '}')
  switch (basemap.kind) {
    case 'geojson':
      {
        const data = await loadGeojson()
        sources.base = { type: 'geojson', data, attribution, tolerance: 0.3 }
        sources.names = { type: 'geojson', data: namePoints(data) }
      }
      layers.push(...geojsonLayers(locale))
      break
    case 'xyz':
    case 'wmts':
      sources.base = { type: 'raster', tiles: [absolute], tileSize: 256, attribution }
      layers.push({ id: 'raster', type: 'raster', source: 'base', paint: darkened })
      break
    case 'pmtiles': {
      const vector = await vectorTileLayers(absolute, nameIn(locale))
      sources.base = vector
        ? { type: 'vector', url: `pmtiles://${absolute}`, attribution }
        : { type: 'raster', url: `pmtiles://${absolute}`, tileSize: 256, attribution }
      layers.push(...(vector ?? [{ id: 'raster', type: 'raster', source: 'base', paint: darkened } satisfies LayerSpecification]))
      break
    }
    case 'none':
      break
  }
  return { version: 8, sources, layers }
}
