// The calls of docs/api.md by name.
import { call, page, send, url, type Page } from './http'
import type {
  Camera, CameraWrite, CaseFile, CaseNew, Coverage, DerivedRequest, Exhibit, ExhibitRequest, HealthPart, KeyFrames, Me, Rejected, SavedLayout, SavedLayoutWrite, SourceInfo, Storage, SystemInfo, Thumbnail, Time, Track,
} from './types'

const id = encodeURIComponent

export const api = {
  signIn: (name: string, password: string) => call<Me>('/session', { method: 'POST', body: { name, password } }),
  signOut: () => call<void>('/session', { method: 'DELETE' }),
  me: () => call<Me>('/me'),
  system: () => call<SystemInfo>('/system'),
  health: () => call<HealthPart[]>('/health'),
  basemap: () => call<GeoJSON.FeatureCollection>('/basemap.geojson'),

  cameras: () => call<Camera[]>('/cameras'),
  camera: (camera: string) => call<Camera>(`/cameras/${id(camera)}`),
  addCamera: (body: CameraWrite) => call<Camera>('/cameras', { method: 'POST', body }),
  putCamera: (body: CameraWrite) => call<Camera>(`/cameras/${id(body.id)}`, { method: 'PUT', body }),
  removeCamera: (camera: string) => call<void>(`/cameras/${id(camera)}`, { method: 'DELETE' }),
  coverage: (camera: string, from: Time, to: Time, signal?: AbortSignal) =>
    call<Coverage>(`/cameras/${id(camera)}/coverage`, { query: { from, to, stream: 'main' }, ...(signal ? { signal } : {}) }),
  clipUrl: (camera: string, from: Time, to: Time) => url(`/cameras/${id(camera)}/clip.mp4`, { from, to, stream: 'main' }),
  thumbnails: (camera: string, from: Time, to: Time, count: number, width: number) =>
    call<Thumbnail[]>(`/cameras/${id(camera)}/thumbnails`, { query: { from, to, count, width } }),
  thumbnailUrl: (camera: string, at: Time, width: number) => url(`/cameras/${id(camera)}/thumbnail.jpg`, { at, width }),
  keyFrames: (camera: string, from: Time, to: Time, stepMs: number) => call<KeyFrames>(`/cameras/${id(camera)}/keyframes`, { query: { from, to, step_ms: stepMs } }),
  stillUrl: (camera: string, at?: Time, width?: number) => url(`/cameras/${id(camera)}/still.jpg`, { at, width }),

  track: (vehicle: string, from: Time, to: Time) => call<Track>(`/vehicles/${id(vehicle)}/track`, { query: { from, to } }),
  sources: () => call<SourceInfo[]>('/sources'),
  rejected: (limit: number) => call<Rejected[]>('/sources/rejected', { query: { limit } }),

  storage: () => call<Storage>('/storage'),
  liftHold: (hold: string) => call<void>(`/storage/holds/${id(hold)}`, { method: 'DELETE' }),

  cases: (query: { state?: string; q?: string; limit?: number; cursor?: string }): Promise<Page<CaseFile>> => page<CaseFile>('/cases', query),
  caseFile: (which: string) => call<CaseFile>(`/cases/${id(which)}`),
  openCase: (body: CaseNew) => call<CaseFile>('/cases', { method: 'POST', body }),
  actOnCase: (which: string, action: string, text?: string) =>
    call<CaseFile>(`/cases/${id(which)}/actions`, { method: 'POST', body: text ? { action, text } : { action } }),
  attach: async (which: string, body: ExhibitRequest): Promise<{ exhibit: Exhibit; working: boolean }> => {
    const answer = await send(`/cases/${id(which)}/exhibits`, { method: 'POST', body })
    const exhibit = (await answer.json()) as Exhibit
    return { exhibit, working: answer.status === 202 || exhibit.state === 'working' }
  },
  derive: (which: string, exhibit: string, body: DerivedRequest) =>
    call<Exhibit>(`/cases/${id(which)}/exhibits/${id(exhibit)}/derived`, { method: 'POST', body }),
  exhibits: (which: string) => call<Exhibit[]>(`/cases/${id(which)}/exhibits`),
  exhibitFileUrl: (which: string, exhibit: string, file: string, download = false) =>
    url(`/cases/${id(which)}/exhibits/${id(exhibit)}/${id(file)}`, download ? { download: 1 } : {}),
  layouts: () => call<SavedLayout[]>('/layouts'),
  putLayout: (which: string, body: SavedLayoutWrite) => call<SavedLayout>(`/layouts/${id(which)}`, { method: 'PUT', body }),
  removeLayout: (which: string) => call<void>(`/layouts/${id(which)}`, { method: 'DELETE' }),

  bundleUrl: (which: string) => url(`/cases/${id(which)}/bundle.zip`),
}
