// Waiting before the next try: doubles, has a ceiling, and is jittered so that a hundred walls do not come back in one second.

export class Backoff {
  private failures = 0

  constructor(
    private readonly firstMs = 500,
    private readonly ceilingMs = 15_000,
    private readonly random: () => number = Math.random,
  ) {}

  /** How long to wait now. */
  next(): number {
    const full = Math.min(this.ceilingMs, this.firstMs * 2 ** this.failures)
    this.failures = Math.min(this.failures + 1, 30)
    return full * (0.5 + this.random() / 2)
  }

  reset(): void {
    this.failures = 0
  }
}
