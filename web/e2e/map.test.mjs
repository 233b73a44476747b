import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { api, changed, contrast, moves, newPage, pixels, signIn, startBrowser, until, URL_ } from './support.mjs'

let browser
before(async () => (browser = await startBrowser()))
after(() => browser?.close())

const drawn = (page) => page.$eval('[data-overlay]', (one) => Number(one.dataset.drawn))

test('vehicles drive on a map that needs no internet', async () => {
  const page = await newPage(browser)
  const outside = []
  page.on('request', (request) => {
    if (/^https?:/.test(request.url()) && new URL(request.url()).origin !== new URL(process.env.ZHENBEI_URL).origin) outside.push(request.url())
  })
  await signIn(page, '/map')
  await page.waitForSelector('[data-map-ready=true]', { timeout: 60_000 })
  await until('ten vehicles on the map', async () => (await drawn(page)) >= 10, 30_000)
  const first = await page.evaluate(() => {
    const canvas = document.querySelector('[data-overlay]')
    return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.filter((_, i) => i % 4 === 3)]
  })
  assert.ok(first.some((alpha) => alpha > 200), 'nothing is painted')
  const before = await page.locator('[data-overlay]').evaluate((canvas) => canvas.toDataURL())
  await until('something to have moved', async () => (await page.locator('[data-overlay]').evaluate((canvas) => canvas.toDataURL())) !== before, 10_000)
  assert.deepEqual(outside, [], 'the map asked another server')
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('a click on a vehicle shows what is known of it and its trail', async () => {
  const page = await newPage(browser)
  await signIn(page, '/map')
  await page.waitForSelector('[data-map-ready=true]', { timeout: 60_000 })
  await until('vehicles', async () => (await drawn(page)) >= 5, 30_000)
  const panel = await until('the panel of the vehicle clicked on', async () => {
    const [vehicle, x, y] = (await page.getAttribute('[data-overlay]', 'data-probe')).split(' ')
    if (!vehicle) return null
    const box = await page.locator('[data-overlay]').boundingBox()
    await page.mouse.click(box.x + Number(x), box.y + Number(y))
    await new Promise((ok) => setTimeout(ok, 300))
    const found = page.locator('[data-vehicle-panel]')
    return (await found.count()) ? found : null
  }, 20_000, 500)
  const id = await panel.getAttribute('data-vehicle')
  assert.match(await panel.textContent(), /km\/h/)
  await until('points of the trail', async () => Number(await page.getAttribute('[data-trail]', 'data-points')) > 1, 20_000)
  assert.ok(page.url().includes(`v=${encodeURIComponent(id)}`), 'the choice stands in the address')
  assert.match(await page.textContent('[data-vehicle-age]'), /\d/)
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('filters hide a class, and counts tell as of when', async () => {
  const page = await newPage(browser)
  await signIn(page, '/map')
  await page.waitForSelector('[data-map-ready=true]', { timeout: 60_000 })
  await until('vehicles', async () => (await drawn(page)) >= 10, 30_000)
  const all = await drawn(page)
  const name = await page.locator('[data-class-filter]').first().getAttribute('data-class-filter')
  await page.click(`[data-class-filter="${name}"]`)
  await until('fewer vehicles', async () => (await drawn(page)) < all, 5_000)
  assert.ok(page.url().includes(`hc=${name}`))
  assert.match(await page.textContent('footer'), /截至 \d\d:\d\d:\d\d/)
  await page.context().close()
})

test('a camera chosen on the map shows its live picture', async () => {
  const page = await newPage(browser)
  await signIn(page)
  const camera = await until('a streaming camera', async () => (await api(page, 'GET', '/cameras')).find((one) => one.state === 'streaming' && one.codec === 'h264' && one.lon !== null), 30_000)
  await page.click('[data-nav=map]')
  await page.waitForSelector('[data-map-ready=true]', { timeout: 60_000 })
  await page.evaluate((id) => history.replaceState(history.state, '', `/map?cam=${id}`), camera.id)
  await page.reload()
  await page.waitForSelector('[data-camera-panel]')
  await until('its live picture', async () => (await page.getAttribute('[data-camera-panel] .tile', 'data-state')) === 'live', 30_000)
  await moves(page, '[data-camera-panel] canvas', 'the preview')
  const grey = await pixels(page, '[data-camera-panel] canvas')
  assert.ok(contrast(grey) > 4 && changed(grey, grey.map(() => 0)) > 100)
  assert.deepEqual(await page.$$eval('[data-camera-panel] [data-send]', (all) => all.map((one) => one.dataset.send)), ['wall', 'playback', 'case'])
  await page.context().close()
})

test('a vehicle that falls silent turns stale by the clock, though the daemon last said it was moving', async () => {
  const page = await newPage(browser)
  const LIMIT_S = 20
  let silent = null
  await page.route('**/api/v1/system', async (route) => {
    const answer = await route.fetch()
    await route.fulfill({ response: answer, json: { ...(await answer.json()), fleet: { stale_after_s: LIMIT_S } } })
  })
  // The real stream, but from now on nothing of one vehicle comes through.
  await page.routeWebSocket('**/api/v1/events', (socket) => {
    const server = socket.connectToServer()
    server.onMessage((text) => {
      const message = JSON.parse(text)
      if (message.type === 'positions') message.items = message.items.filter((one) => one.vehicle !== silent)
      socket.send(JSON.stringify(message))
    })
  })
  await signIn(page, '/map')
  await page.waitForSelector('[data-map-ready=true]', { timeout: 60_000 })
  const vehicle = await until('a moving vehicle', async () => (await page.getAttribute('[data-overlay]', 'data-probe'))?.split(' ')[0], 30_000)
  await page.goto(`${URL_}/map?v=${encodeURIComponent(vehicle)}`)
  await page.waitForSelector('[data-map-ready=true]', { timeout: 60_000 })
  const state = () => page.getAttribute('[data-vehicle-state]', 'data-vehicle-state')
  await until('its state to be fresh', async () => (await state()) !== 'stale', 20_000)
  const counted = async () => Number(await page.textContent('[data-state-count=stale]'))
  const drawnStale = async () => Number(await page.getAttribute('[data-overlay]', 'data-stale'))
  silent = vehicle
  const since = Date.now()
  const before = await counted()
  await until('its state to be stale', async () => (await state()) === 'stale', (LIMIT_S + 10) * 1_000)
  assert.ok(Date.now() - since > 5_000, 'told at once: that was not its age')
  assert.match(await page.textContent('[data-vehicle-panel]'), /▨ 失联/)
  await until('the count and the marker to agree', async () => (await counted()) > before && (await drawnStale()) > 0, 5_000)
  assert.notEqual((await api(page, 'GET', `/vehicles/${vehicle}`)).state, 'stale', 'the daemon still hears it: only the page was cut off')
  silent = null
  await until('its state to be fresh again', async () => (await state()) !== 'stale', 20_000)
  assert.deepEqual(page.faults, [])
  await page.context().close()
})
