// What this browser can show, found out by asking it instead of by reading its name.
import type { Format } from './messages'

const CODECS: Record<string, string[]> = {
  h264: ['avc1.640028', 'avc1.42E01E'],
  h265: ['hvc1.1.6.L120.90', 'hev1.1.6.L120.90'],
}

export interface Capability {
  format: Format
  decodes: string[]
}

function webCodecs(): boolean {
  return (
    self.isSecureContext && typeof VideoDecoder === 'function' && typeof HTMLCanvasElement.prototype.transferControlToOffscreen === 'function'
  )
}

async function webCodecsPlays(codec: string): Promise<boolean> {
  try {
    return (await VideoDecoder.isConfigSupported({ codec, codedWidth: 1280, codedHeight: 720 })).supported === true
  } catch {
    return false
  }
}

const msePlays = (codec: string) => typeof MediaSource === 'function' && MediaSource.isTypeSupported(`video/mp4; codecs="${codec}"`)

async function decodes(plays: (codec: string) => boolean | Promise<boolean>): Promise<string[]> {
  const found: string[] = []
  for (const [name, codecs] of Object.entries(CODECS)) {
    for (const codec of codecs) {
      if (!(await plays(codec))) continue
      found.push(name)
      break
    }
  }
  return found
}

async function probe(forceMse: boolean): Promise<Capability> {
  if (!forceMse && webCodecs()) {
    const found = await decodes(webCodecsPlays)
    if (found.length) return { format: 'avcc', decodes: found }
  }
  // An empty list would get us nothing: H.264 is the least that is ever sent.
  const found = await decodes(msePlays)
  return { format: 'fmp4', decodes: found.length ? found : ['h264'] }
}

let known: Promise<Capability> | null = null

/** `?player=mse` in the address forces the fallback: for tests, and for a workstation whose decoder misbehaves. */
export function capability(): Promise<Capability> {
  known ??= probe(new URLSearchParams(location.search).get('player') === 'mse')
  return known
}

/** Whether a recording in this codec plays in a <video> element. */
export function playsRecording(codec: string | null): boolean {
  const codecs = codec ? CODECS[codec] : CODECS.h264
  if (!codecs) return false
  const probe = document.createElement('video')
  return codecs.some((one) => probe.canPlayType(`video/mp4; codecs="${one}"`) !== '')
}
