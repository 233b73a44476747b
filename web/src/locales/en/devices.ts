export default {
  devices: {
    cameras: 'Cameras', sources: 'Vehicle feeds', rejected: 'Rejected messages', health: 'Parts of the system', add: 'Add camera', edit: 'Edit camera', id: 'Number', name: 'Name', state: 'State', codec: 'Codec', fps: 'Frames/s', kbps: 'kbit/s', coverage: 'Recorded, last 24 h', size: 'Size', since: 'since {time}', durable: 'on disk up to {time}', covered: '{percent}%',
    empty: 'No cameras yet. Press "Add camera" and give its RTSP address.', noSources: 'No vehicle feeds. Add an MQTT or NMEA source to the configuration.', noRejected: 'No rejected messages.', source: 'Feed', received: 'Received', accepted: 'Accepted', rejectedCount: 'Rejected', rate: 'Per second', lastError: 'Last error', topic: 'Topic', why: 'Reason', sample: 'Sample', time: 'Time',
    sourceState: { connected: 'Connected', connecting: 'Connecting', down: 'Down' }, partState: { ok: 'OK', degraded: 'Degraded', down: 'Down' },
    form: { main: 'Main stream address', sub: 'Sub stream address (optional)', mainHint: "rtsp://user:password{'@'}host:554/path", record: 'Record', lon: 'Longitude', lat: 'Latitude', heading: 'Heading (degrees)', fov: 'Field of view (degrees)', area: 'Area code', idHint: 'Own number or 20-digit GB code', secretKept: '*** keeps the password as it is', idMissing: 'Give it a number', nameMissing: 'Give it a name', mainMissing: 'The address must begin with rtsp://', areaMissing: 'Give it the area code of its district, e.g. 610802' },
    removeAsk: 'Delete camera {name}? What is recorded stays until its retention ends.', summary: '{ok} of {all} normal', lossShort: 'loss {n}',
  },
}
