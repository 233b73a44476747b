import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { api, contrast, newPage, pixels, playableCamera, signIn, startBrowser, until, URL_ } from './support.mjs'

let browser
before(async () => (browser = await startBrowser()))
after(() => browser?.close())

test('a clip on a case is cut to the picture and made into a sheet; both stand under it and can be played and saved', async () => {
  const page = await newPage(browser)
  await signIn(page)
  const { camera, to } = await playableCamera(page, 12)
  const time = (ms) => new Date(ms).toISOString()
  const { id } = await api(page, 'POST', '/cases', { title: `浏览器剪辑 ${Date.now()}`, occurred_from: time(to - 10_000), lon: camera.lon, lat: camera.lat, source: 'video' })
  await api(page, 'POST', `/cases/${id}/exhibits`, { camera: camera.id, from: time(to - 10_000), to: time(to - 2_000), purpose: '浏览器测试：剪辑' })
  const exhibits = () => api(page, 'GET', `/cases/${id}/exhibits`)
  const [clip] = await until('the clip to be ready', async () => {
    const all = await exhibits()
    return all[0].state === 'ready' ? all : null
  }, 30_000, 500)

  await page.goto(`${URL_}/cases/${id}`)
  await page.waitForSelector('[data-derive]')
  await page.click('[data-derive-cut]')
  // Both ends in words of the clock; nonsense is told before it is sent.
  await page.fill('[name=cut-to]', '25:00')
  assert.equal(await page.locator('[data-derive-submit]').isDisabled(), true)
  assert.equal(await page.locator('[data-derive-form] [role=alert]').count(), 1)
  const clock = (ms) => new Date(ms + 8 * 3_600_000).toISOString().slice(11, 23)
  await page.fill('[name=cut-from]', clock(to - 8_700))
  await page.fill('[name=cut-to]', clock(to - 5_300))
  await page.click('[data-derive-submit]')
  const made = await until('the cut to be ready', async () => (await exhibits()).find((one) => one.kind === 'exact_cut' && one.state === 'ready'), 60_000, 500)
  assert.equal(made.derived_from, clip.id)
  const length = Date.parse(made.delivered.to) - Date.parse(made.delivered.from)
  assert.ok(length >= 3_399 && length < 3_600, `${length} ms`)

  await until('the cut to be shown', async () => (await page.getAttribute('[data-exhibit]', 'data-exhibit-kind')) === 'exact_cut' && (await page.getAttribute('[data-exhibit]', 'data-exhibit-state')) === 'ready')
  assert.match(await page.textContent('[data-recipe]'), /由证据 1 生成：精确剪辑/)
  await page.evaluate(async () => {
    const video = document.querySelector('[data-exhibit-video]')
    video.muted = true
    await video.play()
  })
  await until('the cut to play over its seam to the end', () => page.evaluate(() => {
    const video = document.querySelector('[data-exhibit-video]')
    if (video.error) throw new Error(video.error.message)
    return video.ended
  }), 30_000)
  const played = await page.evaluate(() => document.querySelector('[data-exhibit-video]').getVideoPlaybackQuality().totalVideoFrames)
  const { copied, encoded } = made.recipe.pictures
  assert.ok(copied > 0 && played >= (copied + encoded) * 0.5, `${played} of ${copied + encoded} pictures`)

  const waiting = page.waitForEvent('download')
  await page.click('[data-file="cut.mp4"] a')
  const saved = await readFile(await (await waiting).path())
  assert.equal(saved.length, made.files[0].bytes)
  const digest = await page.evaluate(async (bytes) => Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(bytes)))).map((b) => b.toString(16).padStart(2, '0')).join(''), [...saved])
  assert.equal(digest, made.files[0].sha256)

  await page.click('[data-exhibit-tab=clip]')
  await page.click('[data-derive-sheet]')
  await page.fill('[name=sheet-columns]', '3')
  await page.fill('[name=sheet-rows]', '2')
  await page.click('[data-derive-submit]')
  await page.waitForSelector('[data-exhibit-picture]', { timeout: 60_000 })
  await until('a sheet that is not plain', async () => contrast(await pixels(page, '[data-exhibit-picture]')) > 10)
  assert.deepEqual(await page.$$eval('[data-exhibit-tab]', (all) => all.map((one) => one.dataset.exhibitTab)), ['clip', 'exact_cut', 'contact_sheet'])
  assert.deepEqual(page.faults, [])
  await page.context().close()
})
