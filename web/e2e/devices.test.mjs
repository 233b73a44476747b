import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { api, newPage, signIn, startBrowser, until } from './support.mjs'

let browser
before(async () => (browser = await startBrowser()))
after(() => browser?.close())

test('devices tell state, codec and what is recorded, and feeds their counters', async () => {
  const page = await newPage(browser)
  await signIn(page, '/devices')
  const cameras = await api(page, 'GET', '/cameras')
  await until('a row for every camera', async () => (await page.locator('[data-device]').count()) === cameras.length, 15_000)
  const streaming = cameras.find((one) => one.state === 'streaming')
  assert.ok(streaming, 'no camera streams')
  assert.match(await page.textContent(`[data-device="${streaming.id}"]`), /正常/)
  await until('some coverage', async () => Number(await page.getAttribute(`[data-device="${streaming.id}"] [data-coverage]`, 'data-percent')) >= 0, 10_000)
  await page.waitForSelector('[data-sources] tbody tr')
  assert.match(await page.textContent('[data-sources]'), /mqtt/)
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('a camera is added by the form and deleted again; a bad address is refused in words', async () => {
  const page = await newPage(browser)
  await signIn(page, '/devices')
  await api(page, 'DELETE', '/cameras/e2e-form').catch(() => undefined)
  await page.click('[data-add-camera]')
  await page.fill('[data-camera-form] input[name=id]', 'e2e-form')
  await page.fill('[data-camera-form] input[name=name]', '测试 表单')
  await page.fill('[data-camera-form] input[name=main]', 'http://127.0.0.1/x')
  await page.click('[data-camera-form] button[type=submit]')
  assert.match(await page.textContent('[data-camera-form] [role=alert]'), /rtsp:\/\//)
  await page.fill('[data-camera-form] input[name=main]', 'rtsp://127.0.0.1:1/nothing')
  await page.click('[data-camera-form] button[type=submit]')
  await page.waitForSelector('[data-device="e2e-form"]')
  await page.click('[data-device="e2e-form"] [data-remove]')
  await page.click('[data-remove-yes]')
  await page.waitForSelector('[data-device="e2e-form"]', { state: 'detached' })
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('a part of the system that is not well is told in the top bar, and no longer when it is well again', async () => {
  const page = await newPage(browser)
  let parts = [{ part: 'database', state: 'ok', message: '' }, { part: 'archive', state: 'degraded', message: 'the disk is nearly full' }]
  await page.route('**/api/v1/health', (route) => route.fulfill({ json: parts }))
  await signIn(page)
  await page.waitForSelector('[data-health]')
  assert.match(await page.textContent('[data-health]'), /录像存储 降级：the disk is nearly full/)
  parts = parts.map((part) => ({ ...part, state: 'ok', message: '' }))
  await page.waitForSelector('[data-health]', { state: 'detached', timeout: 15_000 })
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('the disks tell how long they last, and a floor that will not hold is warned of', async () => {
  const page = await newPage(browser)
  await signIn(page, '/devices')
  await page.waitForSelector('[data-volumes] [data-volume="default"]')
  assert.match(await page.textContent('[data-volume="default"]'), /正常/)
  const storage = await api(page, 'GET', '/storage')
  assert.ok(storage.volumes[0].bytes > 0 && storage.volumes[0].free_bytes > 0)
  storage.volumes[0].floor = { state: 'short', hours: 96.4 }
  storage.holds = [{ id: 'h1', camera: 'cam-001', stream: 'main', from: '2026-01-01T00:00:00Z', to: '2026-01-01T00:10:00Z', reason: '案件 17', created_at: '2026-01-02T00:00:00Z' }]
  let lifted = ''
  await page.route('**/api/v1/storage', (route) => route.fulfill({ json: storage }))
  await page.route('**/api/v1/storage/holds/*', (route) => {
    lifted = route.request().url()
    storage.holds = []
    return route.fulfill({ status: 204 })
  })
  await page.reload()
  await page.waitForSelector('[data-floor]')
  assert.match(await page.textContent('[data-floor]'), /30 天.*96 小时/)
  await page.click('[data-holds] [data-lift]')
  await page.click('[data-lift-yes]')
  await page.waitForSelector('[data-holds]', { state: 'detached' })
  assert.match(lifted, /h1$/)
  assert.deepEqual(page.faults, [])
  await page.context().close()
})
