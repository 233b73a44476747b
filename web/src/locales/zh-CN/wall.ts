export default {
  wall: {
    layout: '{n} 画面', list: '摄像机列表', hideList: '收起列表', fullScreen: '全屏', keys: '按键', empty: '空位', emptyHint: '把摄像机拖到这里，或输入编号按回车',
    calling: '呼叫编号 {digits}', callingName: '{name}，按回车上墙', callingNone: '没有编号为 {digits} 的摄像机', clear: '移除画面', fill: '全部补满', noCameraHere: '选中的画面是空的',
    layouts: '布局', layoutsNone: '还没有保存的布局。给当前画面起个名字，保存后可随时调出。', layoutName: '布局名称', layoutShare: '共享给所有人', layoutShared: '共享', layoutSave: '保存当前布局', layoutReplace: '覆盖同名布局', layoutSaved: '已保存「{name}」', layoutDelete: '删除布局 {name}', layoutDeleteAsk: '确认删除', layoutDeleted: '已删除「{name}」',
    dragHint: '拖到画面上，或双击放入选中的画面',
    keyHelp: { digits: '编号 + 回车：呼叫摄像机', arrows: '方向键：移动选中', full: 'F：全屏', list: 'L：摄像机列表', replay: 'R：回放前 30 秒', still: 'S：抓拍图片', mark: 'M：前 20 秒入案卷', layouts: 'W：布局', case: 'C：立案', grid: 'G：切换画面数', del: 'Delete：移除画面' },
  },
  tile: {
    opening: '正在打开画面…', live: '实时', stale: '画面停滞', down: '无画面', error: '无法打开', removed: '摄像机已删除', unknown: '没有这台摄像机（可能已删除）', notFound: '服务器上没有这路画面，正在重试', paused: '已暂停（页面不可见）', noPictureYet: '尚未收到画面', linkDown: '与服务器的视频连接中断，正在重连',
    noNewPicture: '画面没有更新', lastPicture: '最后画面 {time}（{age}前）', recording: '录像中', notRecording: '未录像', transcoded: '{codec} 转码',
    transcodedLong: '由 {codec} 转码为 H.264', codec: '编码', bitrate: '码率', loss: '丢包', skipped: '跳帧', fps: '帧率', size: '尺寸', stream: '码流', main: '主码流', sub: '子码流', player: '播放',
  },
}
