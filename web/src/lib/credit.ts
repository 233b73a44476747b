// Credits of one tile: each frame received took one from the server, and each one dealt with is owed back. They are given in
// batches so that the way back is not as busy as the way in, and no credit is ever given twice.

export class CreditAccount {
  private taken = 0
  private owed = 0

  constructor(private readonly batch = 10) {}

  /** A frame has come. */
  received(): void {
    this.taken += 1
  }

  /** Frames were decoded, shown or thrown away; answers how many credits to give now, 0 for none yet. */
  settled(frames = 1): number {
    const real = Math.min(frames, this.taken - this.owed)
    if (real > 0) this.owed += real
    return this.owed >= this.batch ? this.give() : 0
  }

  /** The decoder is gone and with it all it held: everything outstanding is owed. */
  settleAll(): number {
    this.owed = this.taken
    return this.give()
  }

  /** Frames received and not yet dealt with. */
  get outstanding(): number {
    return this.taken - this.owed
  }

  private give(): number {
    const frames = this.owed
    this.taken -= frames
    this.owed = 0
    return frames
  }
}
