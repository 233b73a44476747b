// The server's time, reckoned in the browser. A workstation's own clock may be wrong or be set while we watch, so ages are never
// taken from it: each stamp of the server is set against the monotonic clock, and the least delayed of the last ones wins.

export class ServerClock {
  private readonly offsets: number[] = []

  constructor(private readonly monotonicMs: () => number = () => performance.now(), private readonly keep = 12) {}

  /** A stamp has just arrived. The network only ever makes stamps older, so the greatest offset is nearest the truth. */
  stamp(serverMs: number): void {
    if (!Number.isFinite(serverMs)) return
    const offset = serverMs - this.monotonicMs()
    const known = this.offset()
    // The server's own clock was stepped: what we knew before is worth nothing.
    if (known !== null && Math.abs(offset - known) > 5_000) this.offsets.length = 0
    this.offsets.push(offset)
    if (this.offsets.length > this.keep) this.offsets.shift()
  }

  private offset(): number | null {
    return this.offsets.length ? Math.max(...this.offsets) : null
  }

  get known(): boolean {
    return this.offsets.length > 0
  }

  /** Server time in ms since the epoch; the workstation's own until the first stamp. */
  now(): number {
    const offset = this.offset()
    return offset === null ? Date.now() : offset + this.monotonicMs()
  }
}
