export default {
  playback: {
    pick: 'Choose a camera', pickHint: 'Choose a camera on the left: the time line shows what is recorded and where the gaps are.', addCamera: 'Add in step', limit: 'At most {n} cameras at once', time: 'Time', now: 'Newest', day: '24 h', hour: '1 h', minutes: '10 min',
    play: 'Play', pause: 'Pause', frameBack: 'Previous frame', frameOn: 'Next frame', forwards: 'Forwards', backwards: 'Backwards, by key frames', strip: 'Thumbnails', speed: 'Speed', markIn: 'In I', markOut: 'Out O', clearMarks: 'Clear marks', marked: '{length} marked', attach: 'Attach to case', downloadMinute: 'Download this minute', download: 'Download clip', nothingMarked: 'Mark the start and end with I and O first',
    badMarks: 'The out mark must be later than the in mark', noFootage: 'Nothing was recorded at this moment', inGap: 'Gap: {cause} ({from} – {to})', skippedGap: 'Skipped a gap of {length}: {cause}', cannotPlay: 'This browser cannot play {codec}: these are still pictures from the server', loadingClip: 'Loading the recording…', loadingStill: 'Fetching the picture…', clipFailed: 'The recording could not be loaded', stillAt: 'Picture of {time}',
    recorded: 'Recorded', gapLegend: 'Gap', marks: 'Marked', coverageFailed: 'The recorded spans could not be loaded', utc: 'UTC+8', keys: 'Space play/pause · ←→ 5 s (Shift 1 min) · ,. frame · [ ] speed · I/O marks · Enter attach · wheel zoom · Shift+wheel pan', liveEdge: 'This is the newest recording',
  },
  gap: {
    camera_down: 'camera down', source_stalled: 'picture stalled', rtp_loss: 'packets lost', ring_overrun: 'writer overrun', disk_behind: 'disk too slow', disk_full: 'disk full', disk_error: 'disk error', restart: 'service restart', clock_step: 'clock step', stopped: 'stopped', retention: 'past retention', not_recorded: 'not recorded', not_yet: 'not yet recorded', unknown: 'cause unknown',
  },
  attach: {
    title: 'Attach to case', trackTitle: 'Attach trail to case', which: 'Which case', existing: 'Existing case', fresh: 'New case', purpose: 'Purpose', purposeHint: 'Say why this is taken; it goes into the audit log', range: 'Range', length: 'Length', caseTitle: 'Title of the case', submit: 'Attach', working: 'The server is copying the clip…', stillWorking: 'A long clip is still being copied; you may leave this page.',
    done: 'Attached to case {no}', openCase: 'Open the case', noOpen: 'There is no open case: make a new one.', gapsInside: '{n} gaps inside the range will be listed in the manifest', purposeMissing: 'Say what it is needed for', titleMissing: 'Give the case a title', caseMissing: 'Choose a case', failed: 'It was not attached', searchHint: 'Case number or title',
  },
}
