// Plays the recording of one camera through two <video> elements: while one shows, the other may already hold what comes next.
import { api } from '@/api'
import { Problem } from '@/api/http'
import { rfc } from '@/lib/time'
import type { View } from '@/lib/timeline'

interface Deck { video: HTMLVideoElement; window: View | null; ready: boolean; wanted: number | null }

export interface ClipHooks {
  failed(error: unknown): void
  cannotPlay(): void
}

/** What the daemon really delivers may begin a little before what was asked (the key frame): its headers say so. */
async function delivered(url: string, asked: View): Promise<View> {
  const answer = await fetch(url, { headers: { range: 'bytes=0-0' }, credentials: 'same-origin' })
  if (!answer.ok) {
    const body = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string }
    throw new Problem(answer.status, body.code ?? 'http', body.detail ?? `${answer.status} ${answer.statusText}`, answer.status >= 500)
  }
  await answer.arrayBuffer()
  const from = Date.parse(answer.headers.get('zhenbei-from') ?? '')
  const to = Date.parse(answer.headers.get('zhenbei-to') ?? '')
  return { from: Number.isFinite(from) ? from : asked.from, to: Number.isFinite(to) ? to : asked.to }
}

export class ClipVideo {
  private readonly decks: [Deck, Deck]
  private front = 0
  private generation = 0
  private speed = 1
  private playing = false

  constructor(private readonly camera: string, first: HTMLVideoElement, second: HTMLVideoElement, private readonly hooks: ClipHooks) {
    const deck = (video: HTMLVideoElement): Deck => ({ video, window: null, ready: false, wanted: null })
    this.decks = [deck(first), deck(second)]
    for (const one of this.decks) {
      one.video.muted = true
      one.video.preload = 'auto'
      one.video.addEventListener('seeked', () => this.settle(one))
      one.video.addEventListener('loadedmetadata', () => {
        one.ready = true
        this.settle(one)
      })
      one.video.addEventListener('error', () => {
        const code = one.video.error?.code
        if (!one.window || code === undefined) return
        if (code === MediaError.MEDIA_ERR_DECODE || code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED) this.hooks.cannotPlay()
        else this.hooks.failed(new Error(one.video.error?.message ?? 'video'))
      })
    }
  }

  get window(): View | null {
    return this.decks[this.front]!.window
  }

  get frontIndex(): number {
    return this.front
  }

  /** Where the picture is, ms since the epoch; null while there is none to trust. */
  position(): number | null {
    const { video, window, ready } = this.decks[this.front]!
    return window && ready && video.readyState >= 2 && !video.seeking ? window.from + video.currentTime * 1000 : null
  }

  get ended(): boolean {
    const { video, window, ready } = this.decks[this.front]!
    return window !== null && ready && video.ended
  }

  async load(asked: View, at: number): Promise<void> {
    const mine = ++this.generation
    const back = this.decks[1 - this.front]!
    if (back.window && back.window.from <= at && at < back.window.to) {
      this.swap(at)
      return
    }
    try {
      const url = api.clipUrl(this.camera, rfc(asked.from), rfc(asked.to))
      const window = await delivered(url, asked)
      if (mine !== this.generation) return
      const deck = this.decks[this.front]!
      this.fill(deck, url, window)
      deck.wanted = at
      this.apply()
    } catch (error) {
      if (mine === this.generation) this.hooks.failed(error)
    }
  }

  /** Get the next piece ready behind the one that shows. */
  async prepare(asked: View): Promise<void> {
    const back = this.decks[1 - this.front]!
    if (back.window && Math.abs(back.window.from - asked.from) < 2_000 && back.window.to >= asked.to - 2_000) return
    try {
      const url = api.clipUrl(this.camera, rfc(asked.from), rfc(asked.to))
      const window = await delivered(url, asked)
      if (back !== this.decks[1 - this.front]) return
      this.fill(back, url, window)
      back.wanted = asked.from
    } catch {
      // The piece is asked for again, loudly, when its turn comes.
    }
  }

  seek(at: number): void {
    const deck = this.decks[this.front]!
    deck.wanted = at
    this.settle(deck)
  }

  set(playing: boolean, speed: number): void {
    this.playing = playing
    this.speed = speed
    this.apply()
  }

  close(): void {
    this.generation += 1
    for (const deck of this.decks) {
      deck.window = null
      deck.video.removeAttribute('src')
      deck.video.load()
    }
  }

  private fill(deck: Deck, url: string, window: View): void {
    deck.window = window
    deck.ready = false
    deck.video.src = url
  }

  private swap(at: number): void {
    this.decks[this.front]!.video.pause()
    this.front = 1 - this.front
    const deck = this.decks[this.front]!
    deck.wanted = at
    this.settle(deck)
    this.apply()
  }

  private apply(): void {
    const { video } = this.decks[this.front]!
    if (video.playbackRate !== this.speed) {
      video.defaultPlaybackRate = this.speed
      video.playbackRate = this.speed
    }
    if (this.playing && video.paused) void video.play().catch(() => undefined)
    if (!this.playing && !video.paused) video.pause()
  }

  /** Seeks one at a time, always to the newest wish: scrubbing must not pile them up. */
  private settle(deck: Deck): void {
    if (!deck.ready || deck.wanted === null || !deck.window || deck.video.seeking) return
    const target = Math.min(Math.max(0, (deck.wanted - deck.window.from) / 1000), Math.max(0, deck.video.duration - 0.001))
    deck.wanted = null
    if (Math.abs(deck.video.currentTime - target) > 0.004) deck.video.currentTime = target
  }
}
