import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { api, newPage, playableCamera, signIn, startBrowser, until, URL_ } from './support.mjs'

let browser
before(async () => (browser = await startBrowser()))
after(() => browser?.close())

test('a ready exhibit tells what could not be had with it, and who may not view exhibits is told so', async () => {
  const page = await newPage(browser)
  await signIn(page)
  const { camera, to } = await playableCamera(page, 10)
  const time = (ms) => new Date(ms).toISOString()
  const { id } = await api(page, 'POST', '/cases', { title: `浏览器证据 ${Date.now()}`, occurred_from: time(to - 8_000), lon: camera.lon, lat: camera.lat, source: 'video' })
  await api(page, 'POST', `/cases/${id}/exhibits`, { camera: camera.id, from: time(to - 8_000), to: time(to - 3_000), purpose: '浏览器测试：证据' })
  await until('the exhibit to be ready', async () => (await api(page, 'GET', `/cases/${id}`)).exhibit_list[0].state === 'ready', 30_000, 500)

  const asked = []
  page.on('request', (request) => request.url().includes('/exhibits/') && asked.push(request.url()))
  const note = 'There is no still picture: the decoder gave none.'
  await page.route(`**/api/v1/cases/${id}`, async (route) => {
    const answer = await route.fetch()
    const one = await answer.json()
    one.exhibit_list[0].error = note
    await route.fulfill({ response: answer, json: one })
  })
  await page.goto(`${URL_}/cases/${id}`)
  await page.waitForSelector('[data-exhibit-video]')
  assert.ok((await page.textContent('[data-exhibit-note]')).includes(note))
  assert.equal(await page.locator('[data-bundle]').count(), 1)
  await until('the clip to be asked for', () => asked.some((url) => url.includes('clip.mp4')), 5_000)

  await page.route('**/api/v1/me', async (route) => {
    const answer = await route.fetch()
    const me = await answer.json()
    await route.fulfill({ response: answer, json: { ...me, may: me.may.filter((one) => one !== 'exhibit.view') } })
  })
  await page.goto('about:blank')
  asked.length = 0
  await page.goto(`${URL_}/cases/${id}`)
  await page.waitForSelector('[data-exhibit-refused]')
  assert.match(await page.textContent('[data-exhibit-refused]'), /exhibit\.view/)
  assert.equal(await page.locator('[data-bundle], [data-exhibit-video], [data-file] a').count(), 0)
  assert.equal(await page.locator('[data-bundle-refused]').isDisabled(), true)
  assert.match(await page.textContent('[data-exhibit]'), /浏览器测试：证据/, 'what it is and why it was taken is still told')
  assert.deepEqual(asked, [], 'nothing is asked for that would be refused')
  assert.deepEqual(page.faults, [])
  await page.context().close()
})
