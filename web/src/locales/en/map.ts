export default {
  map: {
    vehicles: 'Vehicles', cameras: 'Cameras', classes: 'Class', states: 'State', counts: '{n} in all', loadingBase: 'Loading the base map…', baseFailed: 'The base map could not be loaded', noVehicles: 'No vehicle positions yet. They appear as soon as a feed delivers.',
    noBase: 'No base map configured', fit: 'Whole city', search: 'Plate or number', trail: 'Trail of the last 30 min', trailPoints: '{n} points', trailNone: 'No points in the last 30 min', trailLoading: 'Loading the trail…', follow: 'Follow', attachTrail: 'Trail to a case',
    webglMissing: 'This browser has no WebGL: the map cannot be shown',
  },
  vehicle: {
    class: { sanitation: 'Sanitation', muck: 'Muck truck', bus: 'Bus', taxi: 'Taxi', patrol: 'Patrol', other: 'Other' },
    mark: { sanitation: 'S', muck: 'M', bus: 'B', taxi: 'T', patrol: 'P', other: 'O' },
    state: { moving: 'Moving', stopped: 'Stopped', stale: 'Stale' },
    plate: 'Plate', classWord: 'Class', speed: 'Speed', course: 'Course', age: 'Age of position', source: 'Source', flags: 'Flags', position: 'Position', received: 'Received', fixTime: 'Time of fix', noFlags: 'none',
    flag: { future: 'time in the future', stale_time: 'old time', null_island: 'null island', jump: 'jump', duplicate: 'duplicate', late: 'late', no_checksum: 'no checksum', low_quality: 'low quality', no_device_time: 'no device time' },
    unknownVehicle: 'This vehicle is not in the register',
  },
  compass: { n: 'N', ne: 'NE', e: 'E', se: 'SE', s: 'S', sw: 'SW', w: 'W', nw: 'NW' },
}
