import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { newPage, signIn, startBrowser, URL_, USER } from './support.mjs'

let browser
before(async () => (browser = await startBrowser()))
after(() => browser?.close())

test('a wrong password is told and lets nobody in', async () => {
  const page = await newPage(browser)
  await page.goto(`${URL_}/map`)
  await page.waitForURL(/\/signin\?then=/)
  await page.fill('input[name=name]', USER)
  await page.fill('input[name=password]', 'certainly-not-the-password')
  await page.click('button[type=submit]')
  await page.waitForSelector('[data-problem]')
  assert.match(await page.textContent('[data-problem]'), /用户名或密码不正确/)
  assert.equal(await page.locator('[data-clock]').count(), 0)
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('after signing in one is where one wanted to go, and signing out ends it', async () => {
  const page = await newPage(browser)
  await page.goto(`${URL_}/devices`)
  await page.waitForURL(/\/signin/)
  await page.fill('input[name=name]', USER)
  await page.fill('input[name=password]', process.env.ZHENBEI_PASSWORD)
  await page.click('button[type=submit]')
  await page.waitForURL(/\/devices/)
  await page.waitForSelector('[data-device]')
  await page.click('[data-signout]')
  await page.waitForURL(/\/signin/)
  await page.goto(`${URL_}/devices`)
  await page.waitForURL(/\/signin/)
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

test('the language switch changes every word and is remembered', async () => {
  const page = await newPage(browser)
  await signIn(page)
  assert.equal((await page.textContent('[data-nav=wall]')).trim(), '视频墙')
  await page.click('[data-lang]')
  assert.equal((await page.textContent('[data-nav=wall]')).trim(), 'Wall')
  await page.reload()
  await page.waitForSelector('[data-nav=wall]')
  assert.equal((await page.textContent('[data-nav=wall]')).trim(), 'Wall')
  for (const name of ['map', 'cases', 'devices', 'playback']) {
    await page.click(`[data-nav=${name}]`)
    await page.waitForURL(new RegExp(`/${name}`))
    const words = await page.evaluate(() => [...document.querySelectorAll('h1,h2,h3,th,.btn')].map((one) => one.textContent.trim()).filter((text) => /[\u4e00-\u9fff]/.test(text)))
    assert.deepEqual(words.filter((text) => text !== '中文'), words.filter((text) => text !== '中文' && isData(text)), `Chinese left on ${name}`)
  }
  assert.deepEqual(page.faults, [])
  await page.context().close()
})

/** Names given by people (cameras, cases, plates) stay as they were given; they hold no word of our own buttons. */
const isData = (text) => !/视频墙|地图|回放|案卷$|设备|保存|取消|删除|修改|添加|状态|登录|下载/.test(text)

test('the clock is Asia/Shanghai and ticks, whatever the workstation believes', async () => {
  const page = await newPage(browser)
  await signIn(page)
  const read = async () => (await page.textContent('[data-clock]')).trim()
  const first = await read()
  const shanghai = new Date(Date.now() + 8 * 3_600_000).toISOString()
  assert.ok(first.includes(shanghai.slice(11, 15)) || first.includes(new Date(Date.now() + 8 * 3_600_000 - 60_000).toISOString().slice(11, 15)), `${first} is not near ${shanghai}`)
  await new Promise((ok) => setTimeout(ok, 1_600))
  assert.notEqual(await read(), first)
  await page.context().close()
})
