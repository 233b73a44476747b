// What all browser tests need: a real browser, a signed-in page, and a way to read back what is really on the screen.
import { chromium } from 'playwright-core'

export const URL_ = need('ZHENBEI_URL').replace(/\/$/, '')
export const USER = need('ZHENBEI_USER')
export const PASSWORD = need('ZHENBEI_PASSWORD')

function need(name) {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: start the daemon (zhenbei demo) and give its URL, user and password in ZHENBEI_URL, ZHENBEI_USER, ZHENBEI_PASSWORD`)
  return value
}

export async function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // No GPU on a test machine: SwiftShader gives WebGL in software. Autoplay as on a wall.
    args: ['--no-sandbox', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required',
      '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
  })
}

export async function newPage(browser, viewport = { width: 1600, height: 900 }) {
  const context = await browser.newContext({ viewport, locale: 'zh-CN', timezoneId: 'America/New_York', ignoreHTTPSErrors: true })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  page.faults = []
  page.on('pageerror', (error) => page.faults.push(error.stack ?? error.message))
  return page
}

export async function signIn(page, path = '/wall') {
  await page.goto(`${URL_}/signin`)
  await page.fill('input[name=name]', USER)
  await page.fill('input[name=password]', PASSWORD)
  await page.click('button[type=submit]')
  await page.waitForSelector('[data-clock]')
  await page.waitForSelector('[data-link=up]')
  if (path !== '/wall') await page.goto(URL_ + path)
}

/** Call the daemon from within the page, with its cookie. */
export function api(page, method, path, body) {
  return page.evaluate(async ([method, path, body]) => {
    const answer = await fetch(`/api/v1${path}`, { method, headers: { 'x-zhenbei': '1', 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text && answer.headers.get('content-type')?.includes('json') ? JSON.parse(text) : null
  }, [method, path, body])
}

/** 64×36 grey values of a canvas, video or image as it is shown now. */
export function pixels(page, selector) {
  return page.evaluate((selector) => {
    const element = document.querySelector(selector)
    if (!element) return null
    const canvas = document.createElement('canvas')
    canvas.width = 64
    canvas.height = 36
    const pen = canvas.getContext('2d', { willReadFrequently: true })
    pen.drawImage(element, 0, 0, 64, 36)
    const { data } = pen.getImageData(0, 0, 64, 36)
    return Array.from({ length: 64 * 36 }, (_, i) => Math.round((data[i * 4] + data[i * 4 + 1] + data[i * 4 + 2]) / 3))
  }, selector)
}

/** Standard deviation: a black or plain picture has nearly none. */
export function contrast(grey) {
  const mean = grey.reduce((sum, one) => sum + one, 0) / grey.length
  return Math.sqrt(grey.reduce((sum, one) => sum + (one - mean) ** 2, 0) / grey.length)
}

export const changed = (a, b) => a.reduce((count, one, i) => count + (Math.abs(one - b[i]) > 6 ? 1 : 0), 0)

/** Until `check` answers something true; says what it waited for when it never does. */
export async function until(what, check, timeoutMs = 20_000, everyMs = 100) {
  const end = Date.now() + timeoutMs
  let last
  for (;;) {
    try {
      last = await check()
      if (last) return last
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`)
    await new Promise((ok) => setTimeout(ok, everyMs))
  }
}

/** Two pictures of the same element some time apart differ: it moves. */
export async function moves(page, selector, what, timeoutMs = 8_000) {
  const before = await until(`${what}: a picture that is not plain`, async () => {
    const grey = await pixels(page, selector)
    return grey && contrast(grey) > 4 ? grey : null
  }, 15_000)
  await until(`${what}: a picture that changes`, async () => changed(before, await pixels(page, selector)) > 2, timeoutMs, 200)
}

export const tiles = (page) => page.$$eval('.tile', (all) => all.map((one) => ({ ...one.dataset })))

/** A streaming camera whose recording the browser can play. */
export async function playableCamera(page, needSeconds = 20) {
  return until(`a streaming H.264 camera with ${needSeconds} s of recording`, async () => {
    for (const camera of await api(page, 'GET', '/cameras')) {
      if (camera.codec !== 'h264' || camera.state !== 'streaming' || !camera.durable_until) continue
      const to = Date.parse(camera.durable_until)
      const coverage = await api(page, 'GET', `/cameras/${camera.id}/coverage?from=${to - 60_000}&to=${to}&stream=main`)
      const last = coverage.spans.at(-1)
      if (last && Date.parse(last.to) - Date.parse(last.from) >= needSeconds * 1000) return { camera, to: Date.parse(last.to) }
    }
    return null
  }, 90_000, 1_000)
}
