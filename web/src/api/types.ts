// The shapes of docs/api.md, word for word. Times are RFC 3339 UTC with microseconds.

export type Time = string

export type Permission =
  | 'live.view' | 'recording.view' | 'recording.download' | 'position.view' | 'case.read' | 'case.open' | 'case.file'
  | 'case.close' | 'exhibit.view' | 'exhibit.attach' | 'hold.write' | 'camera.write' | 'vehicle.write' | 'layout.write' | 'layout.share' | 'audit.read'
  | 'user.write' | 'system.read'

export interface Me {
  id: string
  name: string
  display_name: string
  role: string
  may: Permission[]
  session_expires: Time
}

export interface SystemInfo {
  version: string
  now: Time
  site: { name: string; center: [number, number]; zoom: number }
  basemap: { kind: 'geojson' | 'xyz' | 'wmts' | 'pmtiles' | 'none'; url: string; attribution: string }
  live: { max_tiles: number }
  fleet?: { stale_after_s: number }
}

export type CameraState = 'connecting' | 'streaming' | 'backoff' | 'faulted' | 'stopped'

export interface Reason {
  kind: string
  message: string
  retry_at: Time | null
}

export interface StreamState {
  state: CameraState
  since: Time
  reason: Reason | null
  codec: string | null
  width: number | null
  height: number | null
  fps: number | null
  kbps: number | null
  last_frame: Time | null
  durable_until: Time | null
  packets_lost: number
  reconnects: number
  recording: boolean
  transport?: string | null
  camera_clock?: CameraClock | null
  camera_clock_reason?: string | null
}

/** The camera's clock minus the server's. */
export interface CameraClock { offset_us: number; uncertainty_us: number; method: string }

export interface Camera {
  id: string
  name: string
  lon: number | null
  lat: number | null
  area: string | null
  heading_deg: number | null
  fov_deg: number | null
  record: boolean
  transport: string
  policies?: Record<string, string | number>
  streams: string[]
  main?: string | null
  sub?: string | null
  state: CameraState
  state_since: Time
  reason: Reason | null
  durable_until: Time | null
  fps: number | null
  kbps: number | null
  codec: string | null
  width: number | null
  height: number | null
  last_frame: Time | null
  stream_states: Partial<Record<'main' | 'sub', StreamState>>
}

export interface CameraWrite {
  id: string
  name: string
  lon: number | null
  lat: number | null
  area: string | null
  heading_deg?: number | null
  fov_deg?: number | null
  main: string
  sub?: string | null
  transport?: string
  policies?: Record<string, string | number>
  record?: boolean
}

export interface Span { from: Time; to: Time }
export interface Gap extends Span { cause: string }
export interface KeyFrames { stream: string; times: Time[]; next: Time | null }
export interface Thumbnail { from: Time; to: Time; at: Time | null; url: string | null }
export interface Coverage { stream: string; durable_until: Time | null; spans: Span[]; gaps: Gap[] }

export type VehicleState = 'moving' | 'stopped' | 'stale'

export interface Position {
  vehicle: string
  lon: number
  lat: number
  time: Time
  received: Time
  speed_kmh: number | null
  course_deg: number | null
  plate: string | null
  class: string | null
  source: string
  flags: string[]
  state: VehicleState
}

export interface TrackPoint {
  type: 'Feature'
  geometry: { type: 'Point'; coordinates: [number, number] }
  properties: { vehicle: string; time: Time; speed_kmh: number | null; course_deg: number | null; flags?: string[] }
}
export interface Track { type: 'FeatureCollection'; features: TrackPoint[] }

export interface SourceInfo {
  source: string
  state: 'connected' | 'connecting' | 'down'
  since: Time
  received: number
  accepted: number
  rejected: number
  rate_per_s: number
  last_error: string | null
}
export interface Rejected { time: Time; source: string; topic: string | null; reason: string; sample: string }
export interface Volume {
  name: string; dir: string; state: 'ok' | 'degraded' | 'down'; message: string
  bytes: number; held_bytes: number; free_bytes: number | null
  bytes_per_day: number | null; runway_hours: number | null; holds_days: number | null; oldest: Time | null
  floor: { state: 'unknown' | 'kept' | 'short' | 'broken'; hours: number | null }
}
export interface Hold { id: string; camera: string; stream: 'main' | 'sub'; from: Time; to: Time; reason: string; created_at: Time }
export interface Storage { retention_days: number; legal_floor_days: number; volumes: Volume[]; holds: Hold[] }
export interface HealthPart { part: string; state: 'ok' | 'degraded' | 'down'; message: string }

/** An arrangement of the wall that was saved; `own`: the asking person may change it. */
export interface SavedLayout { id: string; name: string; tiles: number; cameras: (string | null)[]; shared: boolean; own: boolean }
export type SavedLayoutWrite = Omit<SavedLayout, 'id' | 'own'>

export type CaseState = 'reported' | 'filed' | 'closed' | 'rejected'
export interface CaseEvent { [key: string]: unknown; time?: Time; actor?: string; action?: string; text?: string | null }

export interface CaseFile {
  id: string
  no: string
  title: string
  description: string | null
  category: string | null
  state: CaseState
  occurred_from: Time
  occurred_to: Time | null
  lon: number
  lat: number
  address: string | null
  area: string | null
  source: string | null
  opened_by: string
  opened_at: Time
  closed_by: string | null
  closed_at: Time | null
  exhibits: number
  events?: CaseEvent[]
  exhibit_list?: Exhibit[]
}

export interface CaseNew {
  title: string
  description?: string
  category?: string
  occurred_from: Time
  occurred_to?: Time
  lon: number
  lat: number
  address?: string
  source?: string
}

export interface ExhibitFile {
  name: string
  bytes: number
  sha256: string
  media_type: string
  derived_from: string | null
  recipe: string | null
}

export interface Exhibit {
  id: string
  case: string
  kind: 'clip' | 'track' | 'exact_cut' | 'still' | 'contact_sheet' | 'low_copy'
  state: 'working' | 'ready' | 'failed'
  /** why it failed; on a `ready` one, what could not be had besides (a still picture) */
  error: string | null
  camera: string | null
  vehicle: string | null
  stream: string | null
  requested: Span
  delivered: Span | null
  gaps: Gap[]
  purpose: string
  created_by: string
  created_at: Time
  files: ExhibitFile[]
  /** the exhibit this one was made of */
  derived_from: string | null
  recipe: Recipe | null
}

/** How a derived exhibit was made; from `encoder` on once it is ready. */
export interface Recipe {
  name: string
  version: number
  parameters?: { from_us?: number; to_us?: number; at_us?: number; columns?: number; rows?: number }
  encoder?: string | null
  settings?: string
  pictures?: { copied: number; encoded: number }
  audio?: string
  made_at_us?: number
}

export interface DerivedRequest {
  kind: 'exact_cut' | 'still' | 'contact_sheet' | 'low_copy'
  from?: Time
  to?: Time
  at?: Time
  columns?: number
  rows?: number
  purpose?: string
}

export interface ExhibitRequest {
  camera?: string
  vehicle?: string
  from: Time
  to: Time
  purpose: string
  stream?: string
}
