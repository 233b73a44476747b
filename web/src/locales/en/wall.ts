export default {
  wall: {
    layout: '{n} tiles', list: 'Camera list', hideList: 'Hide list', fullScreen: 'Full screen', keys: 'Keys', empty: 'Empty', emptyHint: 'Drag a camera here, or type its number and press Enter',
    calling: 'Calling {digits}', callingName: '{name}: press Enter', callingNone: 'No camera has the number {digits}', clear: 'Remove picture', fill: 'Fill all', noCameraHere: 'The selected tile is empty',
    layouts: 'Layouts', layoutsNone: 'No layouts yet. Give what is shown a name: it can be called up at any time.', layoutName: 'Name of the layout', layoutShare: 'Share with everybody', layoutShared: 'shared', layoutSave: 'Save what is shown', layoutReplace: 'Replace the one of this name', layoutSaved: 'Saved "{name}"', layoutDelete: 'Delete layout {name}', layoutDeleteAsk: 'Really delete', layoutDeleted: 'Deleted "{name}"',
    dragHint: 'Drag onto a tile, or double-click to put it into the selected tile',
    keyHelp: { digits: 'Number + Enter: call a camera', arrows: 'Arrows: move the selection', full: 'F: full screen', list: 'L: camera list', replay: 'R: replay the last 30 s', still: 'S: still picture', mark: 'M: the last 20 s to a case', layouts: 'W: layouts', case: 'C: open a case', grid: 'G: number of tiles', del: 'Delete: remove the picture' },
  },
  tile: {
    opening: 'Opening the picture…', live: 'Live', stale: 'Picture stopped', down: 'No picture', error: 'Cannot be opened', removed: 'The camera was removed', unknown: 'There is no such camera (it may have been removed)', notFound: 'The server does not have this picture, trying again', paused: 'Paused (page not visible)', noPictureYet: 'No picture yet', linkDown: 'Video connection to the server lost, reconnecting',
    noNewPicture: 'No new picture', lastPicture: 'Last picture {time} ({age} ago)', recording: 'recording', notRecording: 'not recording', transcoded: 'from {codec}',
    transcodedLong: 'transcoded from {codec} to H.264', codec: 'Codec', bitrate: 'Bit rate', loss: 'Loss', skipped: 'Skipped', fps: 'Frames', size: 'Size', stream: 'Stream', main: 'main', sub: 'sub', player: 'Player',
  },
}
