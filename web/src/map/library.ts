// MapLibre as the rest of the console uses it: its worker from our own origin (no blob, so a strict content policy may stay strict), and PMTiles.
import 'maplibre-gl/dist/maplibre-gl.css'
import maplibregl from 'maplibre-gl/dist/maplibre-gl-csp'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-csp-worker?url'
import { Protocol } from 'pmtiles'

maplibregl.setWorkerUrl(workerUrl)
maplibregl.addProtocol('pmtiles', new Protocol().tile)

export { maplibregl }
