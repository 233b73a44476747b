// The keys of playback.

export interface PlaybackActs {
  toggle(): void
  step(by: 1 | -1): void
  move(ms: number): void
  speed(by: 1 | -1): void
  markIn(): void
  markOut(): void
  attach(): void
  close(): void
}

export function usePlaybackKeys(acts: PlaybackActs) {
  return (event: KeyboardEvent): void => {
    const target = event.target as HTMLElement
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches?.('input, textarea, select')) return
    const onButton = target.matches?.('button, a')
    const far = event.shiftKey ? 60_000 : 5_000
    const keys: Record<string, () => void> = {
      ArrowLeft: () => acts.move(-far), ArrowRight: () => acts.move(far), ',': () => acts.step(-1), '.': () => acts.step(1), '[': () => acts.speed(-1), ']': () => acts.speed(1),
      i: acts.markIn, o: acts.markOut, Escape: acts.close,
      // On a button, space and Enter belong to the button.
      ...(onButton ? {} : { ' ': acts.toggle, Enter: acts.attach }),
    }
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key]
    if (!act) return
    act()
    event.preventDefault()
  }
}
