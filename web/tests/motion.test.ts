import { describe, expect, it } from 'vitest'
import { distanceM, fade, Glide, turn } from '@/lib/motion'
import { cone, trailLines } from '@/map/layers'
import type { Camera, Track } from '@/api/types'

const at = (lon: number, lat: number, atMs: number, course: number | null = 90) => ({ lon, lat, atMs, course })

describe('a vehicle between two fixes', () => {
  it('glides for as long as the fixes lie apart, then stands', () => {
    const glide = new Glide(at(109.73, 38.29, 0))
    glide.aim(at(109.732, 38.29, 2_000), 10_000)
    expect(glide.at(10_000).lon).toBeCloseTo(109.73)
    expect(glide.at(11_000).lon).toBeCloseTo(109.731)
    expect(glide.at(12_000).lon).toBe(109.732)
    expect(glide.at(60_000).lon).toBe(109.732)
    expect(glide.resting(11_999)).toBe(false)
    expect(glide.resting(12_000)).toBe(true)
  })
  it('goes on from where it is shown when a fix comes early', () => {
    const glide = new Glide(at(109.73, 38.29, 0))
    glide.aim(at(109.732, 38.29, 2_000), 0)
    const shown = glide.at(1_000).lon
    glide.aim(at(109.733, 38.29, 3_000), 1_000)
    expect(glide.at(1_000).lon).toBeCloseTo(shown, 9)
  })
  it('does not glide over a jump', () => {
    const glide = new Glide(at(109.73, 38.29, 0))
    glide.aim(at(109.79, 38.29, 1_000), 0)
    expect(glide.at(0).lon).toBe(109.79)
  })
  it('ignores late fixes and never creeps for ever', () => {
    const glide = new Glide(at(109.73, 38.29, 5_000))
    glide.aim(at(109.7, 38.2, 4_000), 0)
    expect(glide.at(1e9).lon).toBe(109.73)
    glide.aim(at(109.731, 38.29, 600_000), 0)
    expect(glide.resting(6_000)).toBe(true)
  })
  it('turns the short way round', () => {
    expect(turn(350, 10, 0.5)).toBeCloseTo(0)
    expect(turn(10, 350, 0.5)).toBeCloseTo(0)
    expect(turn(90, 180, 1)).toBe(180)
  })
  it('fades with age but never away', () => {
    expect(fade(0)).toBe(1)
    expect(fade(150_000)).toBeLessThan(1)
    expect(fade(1e9)).toBe(0.5)
  })
})

describe('what is drawn', () => {
  const camera = { id: 'c', lon: 109.73, lat: 38.29, heading_deg: 90, fov_deg: 60, state: 'streaming' } as Camera
  it('a cone looks where the camera looks', () => {
    const ring = (cone(camera)!.geometry as GeoJSON.Polygon).coordinates[0]!
    const middle = ring[7]!
    expect(middle[0]!).toBeGreaterThan(109.73)
    expect(middle[1]!).toBeCloseTo(38.29, 5)
    expect(distanceM({ lon: middle[0]!, lat: middle[1]! }, { lon: 109.73, lat: 38.29 })).toBeCloseTo(140, 0)
    expect(cone({ ...camera, heading_deg: null })).toBeNull()
  })
  it('a trail is broken where no fixes came', () => {
    const point = (s: number, lon: number) => ({ type: 'Feature', geometry: { type: 'Point', coordinates: [lon, 38] }, properties: { vehicle: 'v', time: new Date(s * 1000).toISOString(), speed_kmh: 1, course_deg: 0 } })
    const lines = trailLines({ type: 'FeatureCollection', features: [point(0, 1), point(10, 2), point(500, 3), point(510, 4), point(900, 5)] } as Track)
    expect(lines.features.map((one) => (one.geometry as GeoJSON.LineString).coordinates.length)).toEqual([2, 2])
  })
})
