import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { api, newPage, signIn, startBrowser, tiles, until, URL_ } from './support.mjs'

let browser
before(async () => (browser = await startBrowser()))
after(() => browser?.close())

const streaming = (page) => until('a streaming camera with a recording', async () =>
  (await api(page, 'GET', '/cameras')).find((one) => one.state === 'streaming' && one.codec === 'h264' && one.durable_until && one.lon !== null), 60_000, 1_000)

test('a layout is saved under a name, called up again by keys alone, replaced and deleted', async () => {
  const page = await newPage(browser)
  await signIn(page)
  const ids = (await api(page, 'GET', '/cameras')).map((one) => one.id)
  const name = `浏览器测试 ${Date.now()}`
  await page.goto(`${URL_}/wall?n=4&c=${ids[1]},,${ids[0]}`)
  await page.waitForSelector('[data-slot="3"]')
  await page.keyboard.press('w')
  await page.waitForSelector('[data-layouts]')
  await page.fill('[data-layouts] input[name=layout]', name)
  await page.check('[data-layouts] input[name=shared]')
  await page.keyboard.press('Escape')
  await page.waitForSelector('[data-layouts]', { state: 'detached' })
  assert.deepEqual((await api(page, 'GET', '/layouts')).filter((one) => one.name === name), [], 'Escape saves nothing')

  await page.click('[data-wall-layouts]')
  await page.fill('[data-layouts] input[name=layout]', name)
  await page.check('[data-layouts] input[name=shared]')
  await page.click('[data-save-layout]')
  await page.waitForSelector('[data-layout-said]')
  const saved = (await api(page, 'GET', '/layouts')).filter((one) => one.name === name)
  assert.equal(saved.length, 1)
  assert.deepEqual({ tiles: saved[0].tiles, cameras: saved[0].cameras, shared: saved[0].shared }, { tiles: 4, cameras: [ids[1], null, ids[0], null], shared: true })

  // Another wall, then the saved one by the keyboard.
  await page.goto(`${URL_}/wall?n=1&c=${ids[2]}`)
  await page.waitForSelector(`[data-slot="0"] .tile[data-camera="${ids[2]}"]`)
  await page.keyboard.press('w')
  await until('the focus on a layout', () => page.evaluate(() => document.activeElement?.hasAttribute('data-load-layout')), 5_000)
  for (let i = 0; i < 100 && (await page.evaluate(() => document.activeElement?.getAttribute('data-load-layout'))) !== name; i++) await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.waitForSelector(`[data-slot="0"] .tile[data-camera="${ids[1]}"]`)
  await page.waitForSelector(`[data-slot="2"] .tile[data-camera="${ids[0]}"]`)
  await page.waitForSelector('[data-layouts]', { state: 'detached' })
  await until('the address', () => decodeURIComponent(page.url()).includes(`c=${ids[1]},,${ids[0]}`), 3_000)

  // Saved again under the same name: one layout, changed, still shared.
  await page.goto(`${URL_}/wall?n=1&c=${ids[2]}`)
  await page.click('[data-wall-layouts]')
  await page.waitForSelector(`[data-load-layout="${name}"]`)
  await page.fill('[data-layouts] input[name=layout]', name)
  assert.match(await page.textContent('[data-save-layout]'), /覆盖/)
  await page.click('[data-save-layout]')
  await page.waitForSelector('[data-layout-said]')
  const again = (await api(page, 'GET', '/layouts')).filter((one) => one.name === name)
  assert.deepEqual(again.map((one) => [one.id, one.tiles, one.cameras, one.shared]), [[saved[0].id, 1, [ids[2]], true]])

  await page.click(`[data-delete-layout="${name}"]`)
  assert.equal((await api(page, 'GET', '/layouts')).some((one) => one.name === name), true, 'the first click only asks')
  await page.click(`[data-delete-layout="${name}"]`)
  await page.waitForSelector(`[data-load-layout="${name}"]`, { state: 'detached' })
  assert.equal((await api(page, 'GET', '/layouts')).some((one) => one.name === name), false)
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('R replays, S shows a still, C opens a case, and the help says so', async () => {
  const page = await newPage(browser)
  await signIn(page)
  const camera = await streaming(page)
  const wall = `${URL_}/wall?n=1&c=${camera.id}`
  await page.goto(wall)
  await page.waitForSelector('.tile')
  await page.keyboard.press('?')
  await page.click('[aria-label="按键"]')
  const help = await page.textContent('[data-wall-help]')
  for (const word of ['R：', 'S：', 'M：', 'C：', 'W：']) assert.ok(help.includes(word), `the help does not tell of ${word}`)
  await page.keyboard.press('Escape')

  const [still] = await Promise.all([page.context().waitForEvent('page'), page.keyboard.press('s')])
  await still.waitForLoadState()
  assert.ok(still.url().endsWith(`/cameras/${camera.id}/still.jpg`), still.url())
  assert.ok((await still.evaluate(() => document.querySelector('img')?.naturalWidth ?? 0)) > 100, 'the still is a picture')
  await still.close()

  const before = Date.now()
  await page.keyboard.press('r')
  await page.waitForURL(/\/playback/)
  const at = Number(new URL(page.url()).searchParams.get('t'))
  assert.ok(Math.abs(before - 30_000 - at) < 3_000, `played from ${at - before} ms`)
  assert.equal(new URL(page.url()).searchParams.get('cam'), camera.id)

  await page.goto(wall)
  await page.waitForSelector('.tile')
  await page.keyboard.press('c')
  await page.waitForURL(/\/cases\/new/)
  assert.equal(await page.inputValue('input[name=address]'), camera.name)

  await page.goto(`${URL_}/wall?n=1&c=`)
  await page.waitForSelector('[data-slot="0"]')
  await page.keyboard.press('r')
  assert.match(await page.textContent('[data-wall-note]'), /空/, 'a key that does nothing says why')
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('M puts the last twenty seconds into a case while the wall goes on', async () => {
  const page = await newPage(browser)
  await signIn(page)
  const camera = await streaming(page)
  await page.goto(`${URL_}/wall?n=1&c=${camera.id}`)
  await until('the picture', async () => (await tiles(page))[0]?.state === 'live', 30_000)
  await page.keyboard.press('m')
  await page.waitForSelector('[data-attach]')
  assert.match(await page.textContent('[data-attach]'), /0:20/)
  await until('the focus in the form', () => page.evaluate(() => document.activeElement?.getAttribute('name') === 'title'), 3_000)
  const title = `浏览器标记 ${Date.now()}`
  await page.keyboard.type(title)
  await page.fill('[data-attach] textarea[name=purpose]', '浏览器测试：标记')
  const frames = Number((await tiles(page))[0].frames)
  await page.click('[data-attach-submit]')
  await page.waitForSelector('[data-attach-done]', { timeout: 40_000 })
  assert.ok(Number((await tiles(page))[0].frames) > frames, 'the picture stood still meanwhile')
  await page.click('[data-open-case]')
  await page.waitForSelector('[data-exhibit][data-exhibit-state=ready]', { timeout: 30_000 })
  const id = new URL(page.url()).pathname.split('/').at(-1)
  const [exhibit] = (await api(page, 'GET', `/cases/${id}`)).exhibit_list
  assert.equal(Date.parse(exhibit.requested.to) - Date.parse(exhibit.requested.from), 20_000)
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('a camera that is deleted leaves an empty tile with words, and comes back when it is added again', async () => {
  const page = await newPage(browser)
  await signIn(page)
  const model = await until('a camera without a password', async () => {
    for (const { id } of (await api(page, 'GET', '/cameras')).filter((one) => one.state === 'streaming' && one.codec === 'h264')) {
      const one = await api(page, 'GET', `/cameras/${id}`)
      if (one.main && !/@|\*\*\*/.test(one.main)) return one
    }
    return null
  }, 30_000)
  const body = { id: 'e2e-removed', name: '测试 会删除', lon: model.lon, lat: model.lat, area: model.area, main: model.main, transport: model.transport, record: false }
  await api(page, 'DELETE', `/cameras/${body.id}`).catch(() => undefined)
  await api(page, 'POST', '/cameras', body)
  try {
    await page.goto(`${URL_}/wall?n=1&c=${body.id}`)
    await until('the picture', async () => (await tiles(page))[0]?.state === 'live', 30_000)
    await api(page, 'DELETE', `/cameras/${body.id}`)
    await page.waitForSelector('[data-removed]', { timeout: 5_000 })
    assert.match(await page.textContent('[data-removed]'), /摄像机已删除/)
    assert.equal(await page.locator('.tile canvas, .tile video').count(), 0, 'its last picture is still on the wall')
    assert.match(await page.textContent('.strip'), /会删除/)
    await page.click('[data-wall-list]')
    await page.waitForSelector('[data-camera-item]')
    assert.equal(await page.locator(`[data-camera-item="${body.id}"]`).count(), 0, 'it is still in the list')
    await api(page, 'POST', '/cameras', body)
    await until('the picture again', async () => (await tiles(page))[0]?.state === 'live', 30_000)
  } finally {
    await api(page, 'DELETE', `/cameras/${body.id}`).catch(() => undefined)
  }
  assert.deepEqual(page.faults, [])
  await page.context().close()
})
