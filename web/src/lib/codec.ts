// Codec words as people write them.
const NAMES: Record<string, string> = { h264: 'H.264', h265: 'H.265', hevc: 'H.265', avc: 'H.264' }

export function codecName(codec: string | null | undefined): string {
  return codec ? (NAMES[codec.toLowerCase()] ?? codec) : '—'
}
