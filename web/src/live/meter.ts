// Counts what one tile received, over a sliding second or two, for the label on hover.

export class Meter {
  frames = 0
  lost = 0
  skipped = 0
  decoderErrors = 0
  private readonly window: { at: number; bytes: number }[] = []

  constructor(private readonly spanMs = 2_000) {}

  received(atMs: number, bytes: number, lostBefore: number): void {
    this.frames += 1
    this.lost += lostBefore
    this.window.push({ at: atMs, bytes })
    this.trim(atMs)
  }

  rates(nowMs: number): { fps: number; kbps: number } {
    this.trim(nowMs)
    const bytes = this.window.reduce((sum, one) => sum + one.bytes, 0)
    const seconds = this.spanMs / 1000
    return { fps: Math.round((this.window.length / seconds) * 10) / 10, kbps: Math.round((bytes * 8) / 1000 / seconds) }
  }

  private trim(nowMs: number): void {
    while (this.window.length && (this.window[0]?.at ?? nowMs) < nowMs - this.spanMs) this.window.shift()
  }
}
