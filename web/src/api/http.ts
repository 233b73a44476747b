// One way to call the daemon. Every failure becomes a Problem with the words of RFC 9457, also when there was no answer at all.

export const BASE = '/api/v1'

export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly retry: boolean,
  ) {
    super(detail)
    this.name = 'Problem'
  }
}

type Listener = () => void
let onSignedOut: Listener = () => undefined

/** Told when the session has ended, so that the frame can show the sign-in page. */
export function whenSignedOut(listener: Listener): void {
  onSignedOut = listener
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const body = (await answer.json()) as Partial<Problem> & { title?: string }
    const detail = body.detail ?? body.title ?? answer.statusText
    return new Problem(answer.status, body.code ?? 'http', detail, body.retry ?? answer.status >= 500)
  } catch {
    return new Problem(answer.status, 'http', `${answer.status} ${answer.statusText}`, answer.status >= 500)
  }
}

export interface Call {
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'
  body?: unknown
  query?: Record<string, string | number | undefined | null>
  signal?: AbortSignal
}

export function url(path: string, query: Call['query'] = {}): string {
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') search.set(key, String(value))
  }
  const tail = search.toString()
  return `${BASE}${path}${tail ? `?${tail}` : ''}`
}

export async function send(path: string, call: Call = {}): Promise<Response> {
  const method = call.method ?? 'GET'
  const headers: Record<string, string> = { accept: 'application/json' }
  // A page of another origin cannot set this header: the daemon asks for it on every write made with the cookie.
  if (method !== 'GET' && method !== 'HEAD') headers['x-zhenbei'] = '1'
  if (call.body !== undefined) headers['content-type'] = 'application/json'
  let answer: Response
  try {
    answer = await fetch(url(path, call.query), {
      method,
      headers,
      credentials: 'same-origin',
      body: call.body === undefined ? null : JSON.stringify(call.body),
      signal: call.signal ?? null,
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Problem(0, 'no_answer', String(error), true)
  }
  if (answer.ok) return answer
  const problem = await problemOf(answer)
  if (problem.status === 401 && path !== '/session' && path !== '/me') onSignedOut()
  throw problem
}

export async function call<T>(path: string, options: Call = {}): Promise<T> {
  const answer = await send(path, options)
  if (answer.status === 204) return undefined as T
  return (await answer.json()) as T
}

export interface Page<T> { items: T[]; next: string | null }

/** The cursor in `Link: <…?cursor=…>; rel="next"` (RFC 8288). */
export function nextCursor(link: string | null): string | null {
  if (!link) return null
  for (const part of link.split(/,(?=\s*<)/)) {
    const found = /<([^>]*)>\s*;(.*)/.exec(part)
    if (!found || !/rel="?next"?/.test(found[2] ?? '')) continue
    return new URL(found[1] ?? '', 'http://zhenbei.invalid').searchParams.get('cursor')
  }
  return null
}

export async function page<T>(path: string, query: Call['query']): Promise<Page<T>> {
  const answer = await send(path, { query })
  return { items: (await answer.json()) as T[], next: nextCursor(answer.headers.get('link')) }
}
