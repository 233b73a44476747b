// What of the map stands in its address: the choice, the filters and the view.
import type { VehicleState } from '@/api/types'

export interface MapState {
  vehicle: string | null
  camera: string | null
  hideClasses: string[]
  hideStates: VehicleState[]
  view: { lon: number; lat: number; zoom: number } | null
}

type Query = Record<string, unknown>
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const list = (value: unknown): string[] => text(value).split(',').filter(Boolean)

export function readMap(query: Query): MapState {
  const [lon, lat, zoom] = text(query.at).split(',').map(Number)
  const good = [lon, lat, zoom].every((one) => one !== undefined && Number.isFinite(one)) && Math.abs(lat!) <= 85 && Math.abs(lon!) <= 180
  return {
    vehicle: text(query.v) || null,
    camera: text(query.cam) || null,
    hideClasses: list(query.hc),
    hideStates: list(query.hs) as VehicleState[],
    view: good ? { lon: lon!, lat: lat!, zoom: zoom! } : null,
  }
}

export function writeMap(state: MapState): Record<string, string> {
  const query: Record<string, string> = {}
  if (state.vehicle) query.v = state.vehicle
  if (state.camera) query.cam = state.camera
  if (state.hideClasses.length) query.hc = state.hideClasses.join(',')
  if (state.hideStates.length) query.hs = state.hideStates.join(',')
  if (state.view) query.at = `${state.view.lon.toFixed(5)},${state.view.lat.toFixed(5)},${state.view.zoom.toFixed(2)}`
  return query
}
