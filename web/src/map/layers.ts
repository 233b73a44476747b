// What the map itself draws over the base: view cones of cameras and the trail of one vehicle.
import type { GeoJSONSource, Map as MapLibre } from 'maplibre-gl'
import type { Camera, Track, TrackPoint } from '@/api/types'

const CONE_M = 140
const empty: GeoJSON.FeatureCollection = { type: 'FeatureCollection', features: [] }

/** The sector a camera looks at; none when nobody has entered where it looks. */
export function cone(camera: Camera): GeoJSON.Feature | null {
  const { lon, lat, heading_deg: heading, fov_deg: fov } = camera
  if (lon === null || lat === null || heading === null || fov === null) return null
  const k = Math.cos((lat * Math.PI) / 180)
  const ring: [number, number][] = [[lon, lat]]
  for (let i = 0; i <= 12; i++) {
    const angle = ((heading - fov / 2 + (fov * i) / 12) * Math.PI) / 180
    ring.push([lon + (CONE_M * Math.sin(angle)) / (111_320 * k), lat + (CONE_M * Math.cos(angle)) / 110_540])
  }
  ring.push([lon, lat])
  return { type: 'Feature', properties: { id: camera.id, ok: camera.state === 'streaming' }, geometry: { type: 'Polygon', coordinates: [ring] } }
}

/** A hole in the fixes is a hole in the line: we do not draw a way nobody has seen driven. */
export const TRAIL_BREAK_MS = 120_000

export function trailLines(track: Track): GeoJSON.FeatureCollection {
  const parts: [number, number][][] = []
  let before: TrackPoint | null = null
  for (const point of track.features) {
    const apart = before ? Date.parse(point.properties.time) - Date.parse(before.properties.time) : Infinity
    if (apart > TRAIL_BREAK_MS) parts.push([])
    parts.at(-1)!.push(point.geometry.coordinates)
    before = point
  }
  return {
    type: 'FeatureCollection',
    features: parts.filter((part) => part.length > 1).map((coordinates) => ({ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } })),
  }
}

export function addLayers(map: MapLibre): void {
  map.addSource('cones', { type: 'geojson', data: empty })
  map.addSource('trail', { type: 'geojson', data: empty })
  map.addLayer({ id: 'cone', type: 'fill', source: 'cones', minzoom: 12.5, paint: { 'fill-color': ['case', ['get', 'ok'], '#8fb2cc', '#8a8f94'], 'fill-opacity': 0.2 } })
  map.addLayer({ id: 'cone-edge', type: 'line', source: 'cones', minzoom: 12.5, paint: { 'line-color': '#8fb2cc', 'line-opacity': 0.45, 'line-width': 1 } })
  map.addLayer({ id: 'trail-case', type: 'line', source: 'trail', layout: { 'line-join': 'round', 'line-cap': 'round' }, paint: { 'line-color': '#0b0f13', 'line-width': 6.5 } })
  map.addLayer({ id: 'trail', type: 'line', source: 'trail', layout: { 'line-join': 'round', 'line-cap': 'round' }, paint: { 'line-color': '#ffd678', 'line-width': 3 } })
}

function setData(map: MapLibre, source: string, data: GeoJSON.FeatureCollection): void {
  // An answer that comes after the page was left finds a map that has been removed.
  if (!(map.style as unknown)) return
  ;(map.getSource(source) as GeoJSONSource | undefined)?.setData(data)
}

export function setCones(map: MapLibre, cameras: Camera[]): void {
  setData(map, 'cones', { type: 'FeatureCollection', features: cameras.map(cone).filter((one): one is GeoJSON.Feature => one !== null) })
}

export const setTrail = (map: MapLibre, track: Track | null) => setData(map, 'trail', track ? trailLines(track) : empty)
