// Saved layouts and the wall: which one a name would replace, and what a saved one looks like on this wall.
import type { SavedLayout, SavedLayoutWrite } from '@/api/types'
import { fit, LAYOUTS, type WallState } from './wallUrl'

/** The daemon takes so many signs. */
export const NAME_SIGNS = 80

export const layoutToSave = (name: string, wall: Pick<WallState, 'layout' | 'cameras'>, shared: boolean): SavedLayoutWrite => ({
  name: name.trim(), tiles: wall.layout, cameras: fit(wall.cameras, wall.layout), shared,
})

/** Saving under a name one already has replaces that layout, like a file; somebody else's is never replaced. */
export function replaces(name: string, saved: SavedLayout[]): SavedLayout | null {
  const wanted = name.trim()
  return saved.find((one) => one.own && one.name === wanted) ?? null
}

export function wallOf(saved: SavedLayout): WallState {
  const layout = LAYOUTS.find((one) => one === saved.tiles) ?? 4
  return { layout, cameras: fit(saved.cameras, layout), focus: 0 }
}
