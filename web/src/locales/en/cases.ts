export default {
  cases: {
    title: 'Cases', new: 'New case', no: 'Number', name: 'Title', category: 'Category', state: 'State', opened: 'Opened', openedBy: 'Opened by', place: 'Place', exhibits: 'Exhibits', searchHint: 'Number, title, place', empty: 'No cases yet. Mark a piece of recording in Playback and attach it, or press "New case".', noMatch: 'No case matches.', count: '{n} cases', countMore: 'more than {n} cases', keys: 'J/K up and down · Enter open · N new · / find',
    stateWord: { reported: 'Reported', filed: 'Filed', closed: 'Closed', rejected: 'Rejected' },
    source: { inspector: 'Inspector', hotline: 'Hotline', public: 'Public', video: 'Video', vehicle: 'Vehicle', other: 'Other' },
    sourceWord: 'Source', occurred: 'Occurred', address: 'Address', description: 'Description', area: 'Area', coordinates: 'Coordinates', closedBy: 'Closed by',
    placeHint: 'Click the map to set the place', placeFrom: 'taken from {what}', placeMissing: 'Click the place on the map', titleMissing: 'Give the case a title', timeMissing: 'The time is not right', create: 'Open case',
    suggestedCategory: { muck: 'Muck transport', street: 'Street order', sanitation: 'Sanitation', facility: 'Public facilities', traffic: 'Traffic', other: 'Other' },
  },
  caseOne: {
    facts: 'Facts', progress: 'What happened', media: 'Exhibits', actions: 'Actions', noExhibits: 'No exhibits yet. Mark a range in Playback and press Enter to attach it.', goPlayback: 'Go to playback', bundle: 'Download bundle', bundleNone: 'There is no exhibit to bundle',
    action: { file: 'File', reject: 'Reject', close: 'Close case', comment: 'Comment' },
    event: { open: 'opened', opened: 'opened', reported: 'reported', file: 'filed', filed: 'filed', reject: 'rejected', rejected: 'rejected', close: 'closed', closed: 'closed', comment: 'commented', exhibit: 'added an exhibit', attach: 'added an exhibit', attached: 'added an exhibit' },
    refused: { wrongState: 'Not possible while the case is "{state}": {action}', permission: 'Your post may not do this ({permission})', ownCase: 'Who opened or filed a case cannot close it: another person has to' },
    exact_cut: 'Exact cut', contact_sheet: 'Contact sheet', low_copy: 'Low-bitrate copy',
    text: 'Text', textHint: 'Say on what grounds (optional)', commentHint: 'Write a comment', clip: 'Clip', track: 'Trail', requested: 'Asked for', delivered: 'Delivered', purpose: 'Purpose', by: 'Taken by', at: 'Taken at', files: 'Files', sha: 'SHA-256', derived: 'made from {name}', gaps: 'Gaps', noGaps: 'no gaps inside', working: 'Copying…', failed: 'Copying failed', size: 'Size', cannotPlay: 'This browser cannot play the codec of this clip: download it to look at it', still: 'Still', copySha: 'Copy digest', points: '{n} points',
  },
  derive: {
    make: 'Make:', working: 'Being made…', failed: 'It could not be made', recipe: 'How it was made', of: 'made of exhibit {no}: ',
    from: 'From', to: 'To', here: 'Take the shown picture', cut: 'Make the cut', sheet: 'Make the sheet', columns: 'Columns', rows: 'Rows',
    cutHint: 'Exact to the picture and nothing besides; pictures are copied as they are wherever they can be. The original stays.', stillHint: 'The picture shown in the player, in its full size', lowHint: '640 pixels wide, about 400 kbit/s, for sending. The original stays',
    wrong: { order: 'The end must be after the start', outside: 'Outside this clip', time: 'Write the time as 14:03:07.250' },
    how: {
      exact_cut: 'exact cut', both: 'exact cut, {copied} pictures copied as they are, {encoded} encoded anew ({encoder})', copied: 'exact cut, all {copied} pictures copied as they are, nothing encoded', encoded: 'exact cut, all {encoded} pictures encoded anew ({encoder})',
      still: 'one picture as an image', contact_sheet: 'pictures at equal steps in {columns} columns and {rows} rows, with China time', low_copy: 'encoded anew, small and at a low bit rate, for looking only',
    },
  },
}
