import cases from './cases'
import devices from './devices'
import frame from './frame'
import map from './map'
import playback from './playback'
import storage from './storage'
import wall from './wall'

export default { ...frame, ...wall, ...map, ...playback, ...cases, ...devices, ...storage }
