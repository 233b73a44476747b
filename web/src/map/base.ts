// The generated base layer, fetched once per page.
import { api } from '@/api'

let loaded: Promise<GeoJSON.FeatureCollection> | null = null

export function baseGeojson(): Promise<GeoJSON.FeatureCollection> {
  loaded ??= api.basemap().catch((error: unknown) => {
    loaded = null // The next map tries again.
    throw error
  })
  return loaded
}
