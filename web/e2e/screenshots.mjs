// Pictures of every page in both languages for the documentation: docs/screenshots/<page>-<zh|en>.png, from a running daemon.
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { api, newPage, playableCamera, signIn, startBrowser, tiles, until, URL_ } from './support.mjs'

const folder = process.argv[2] ?? fileURLToPath(new URL('../../docs/screenshots', import.meta.url))
await mkdir(folder, { recursive: true })
const browser = await startBrowser()
const rest = (ms) => new Promise((ok) => setTimeout(ok, ms))
let caseId = null

/** One case with a clip and a track in it, made once. */
async function someCase(page) {
  if (caseId) return caseId
  const { camera, to } = await playableCamera(page, 16)
  const time = (ms) => new Date(ms).toISOString()
  const one = await api(page, 'POST', '/cases', { title: '渣土车未密闭运输', category: '渣土运输', occurred_from: time(to - 15_000), lon: camera.lon, lat: camera.lat, address: camera.name, source: 'video', description: '视频巡查发现车厢未密闭，沿途遗撒。' })
  await api(page, 'POST', `/cases/${one.id}/exhibits`, { camera: camera.id, from: time(to - 14_000), to: time(to - 2_000), purpose: '核实车辆号牌与遗撒位置' })
  const vehicles = await api(page, 'GET', '/positions?limit=1')
  const vehicle = vehicles.features?.[0]?.properties?.vehicle
  if (vehicle) await api(page, 'POST', `/cases/${one.id}/exhibits`, { vehicle, from: time(to - 600_000), to: time(to), purpose: '核对行驶路线' }).catch((error) => console.warn(String(error)))
  caseId = one.id
  return caseId
}

const pages = {
  async wall(page) {
    const cameras = await api(page, 'GET', '/cameras')
    await page.goto(`${URL_}/wall?n=9&c=${cameras.slice(0, 9).map((one) => one.id).join(',')}`)
    await until('live tiles', async () => (await tiles(page)).filter((tile) => tile.state === 'live').length >= Math.min(4, cameras.length), 30_000)
    await page.mouse.move(300, 250)
    await rest(5_500)
  },
  async map(page) {
    const position = (await api(page, 'GET', '/positions?limit=400')).features?.find((one) => one.properties.state === 'moving' && one.properties.class === 'muck')
    await page.goto(`${URL_}/map${position ? `?v=${encodeURIComponent(position.properties.vehicle)}` : ''}`)
    await page.waitForSelector('[data-map-ready=true]', { timeout: 60_000 })
    await rest(4_000)
  },
  async playback(page) {
    const { camera, to } = await playableCamera(page, 16)
    await page.goto(`${URL_}/playback?cam=${camera.id}&t=${to - 10_000}&in=${to - 14_000}&out=${to - 4_000}&span=600000`)
    await page.waitForSelector('[data-pane-state=video]', { timeout: 30_000 })
    await rest(2_000)
  },
  async case(page) {
    await page.goto(`${URL_}/cases/${await someCase(page)}`)
    await page.waitForSelector('[data-exhibit-state=ready]', { timeout: 40_000 })
    await rest(3_000)
  },
  async cases(page) {
    await someCase(page)
    await page.goto(`${URL_}/cases`)
    await page.waitForSelector('[data-case]')
    await rest(800)
  },
  async devices(page) {
    await page.goto(`${URL_}/devices`)
    await page.waitForSelector('[data-coverage]')
    await rest(2_500)
  },
}

try {
  for (const language of ['zh', 'en']) {
    const page = await newPage(browser)
    await page.goto(`${URL_}/signin`)
    if (language === 'en') await page.click('[data-lang]')
    await page.waitForSelector('input[name=name]')
    await page.screenshot({ path: `${folder}/signin-${language}.png` })
    await signIn(page)
    for (const [name, open] of Object.entries(pages)) {
      await open(page)
      await page.screenshot({ path: `${folder}/${name}-${language}.png` })
      console.log(`${name}-${language}.png`)
    }
    await page.context().close()
  }
} finally {
  await browser.close()
}
