import cases from './cases'
import devices from './devices'
import frame from './frame'
import map from './map'
import playback from './playback'
import storage from './storage'
import wall from './wall'
import type zhCN from '../zh-CN'

type Shape<T> = { [K in keyof T]: T[K] extends string ? string : Shape<T[K]> }

const en: Shape<typeof zhCN> = { ...frame, ...wall, ...map, ...playback, ...cases, ...devices, ...storage }
export default en
