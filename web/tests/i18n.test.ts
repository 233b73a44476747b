// Both languages say everything, every message compiles, and every key the code names exists.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createI18n } from 'vue-i18n'
import en from '@/locales/en'
import zhCN from '@/locales/zh-CN'

type Tree = { [key: string]: string | Tree }
function flat(tree: Tree, prefix = ''): Map<string, string> {
  const out = new Map<string, string>()
  for (const [key, value] of Object.entries(tree)) {
    const name = prefix ? `${prefix}.${key}` : key
    if (typeof value === 'string') out.set(name, value)
    else for (const [inner, text] of flat(value, name)) out.set(inner, text)
  }
  return out
}
const chinese = flat(zhCN)
const english = flat(en as unknown as Tree)
const holes = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((found) => found[1]).sort()

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? sources(path) : /\.(vue|ts)$/.test(entry.name) && !path.includes('locales') ? [path] : []
  })
}

describe('the words', () => {
  it('are the same in both languages, with the same blanks', () => {
    expect([...english.keys()].sort()).toEqual([...chinese.keys()].sort())
    for (const [key, text] of chinese) expect(holes(english.get(key)!), key).toEqual(holes(text))
  })
  it('are said: nothing empty, and Chinese is Chinese', () => {
    for (const [key, text] of [...chinese, ...english]) expect(text.trim(), key).not.toBe('')
    const latin = [...chinese].filter(([key, text]) => !/[一-鿿{]/.test(text) && !['lang.switch', 'caseOne.sha', 'playback.utc'].includes(key))
    expect(latin).toEqual([])
    const han = [...english].filter(([key, text]) => /[一-鿿]/.test(text) && key !== 'lang.switch')
    expect(han).toEqual([])
  })
  it('compile', () => {
    for (const [locale, words] of [['zh-CN', chinese], ['en', english]] as const) {
      const { t } = createI18n({ legacy: false, locale, messages: { 'zh-CN': zhCN, en } }).global
      for (const key of words.keys()) expect(() => t(key, { n: 1 }), key).not.toThrow()
    }
  })
  it('that the code asks for exist', () => {
    const missing: string[] = []
    for (const path of sources('src')) {
      for (const found of readFileSync(path, 'utf8').matchAll(/\bt\(\s*'([\w.]+)'/g)) if (!chinese.has(found[1]!)) missing.push(`${path}: ${found[1]}`)
    }
    expect(missing).toEqual([])
  })
})
