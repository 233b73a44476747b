export default {
  playback: {
    pick: '选择摄像机', pickHint: '先从左侧选择一台摄像机，时间轴会显示它的录像和缺口。', addCamera: '加入同步回放', limit: '最多同时回放 {n} 路', time: '时间', now: '最新', day: '24 小时', hour: '1 小时', minutes: '10 分钟',
    play: '播放', pause: '暂停', frameBack: '上一帧', frameOn: '下一帧', forwards: '正放', backwards: '倒放（按关键帧）', strip: '缩略图', speed: '速度', markIn: '入点 I', markOut: '出点 O', clearMarks: '清除入出点', marked: '已选 {length}', attach: '入案卷', downloadMinute: '下载前后一分钟', download: '下载片段', nothingMarked: '先用 I、O 标出起止时间',
    badMarks: '出点必须晚于入点', noFootage: '此时刻没有录像', inGap: '缺口：{cause}（{from} – {to}）', skippedGap: '已跳过缺口 {length}：{cause}', cannotPlay: '此浏览器不能播放 {codec}，下面是服务器给出的静态画面', loadingClip: '正在载入录像…', loadingStill: '正在取画面…', clipFailed: '录像载入失败', stillAt: '画面时间 {time}',
    recorded: '有录像', gapLegend: '缺口', marks: '入出点', coverageFailed: '录像区间载入失败', utc: 'UTC+8', keys: '空格 播放/暂停 · ←→ 5 秒（Shift 1 分钟）· ,. 逐帧 · [ ] 速度 · I/O 入出点 · 回车 入案卷 · 滚轮 缩放 · Shift+滚轮 平移', liveEdge: '已到最新录像',
  },
  gap: {
    camera_down: '摄像机离线', source_stalled: '画面停滞', rtp_loss: '网络丢包', ring_overrun: '写入跟不上', disk_behind: '磁盘过慢', disk_full: '磁盘已满', disk_error: '磁盘错误', restart: '服务重启', clock_step: '时钟跳变', stopped: '已停用', retention: '超过保存期', not_recorded: '未录像', not_yet: '尚未录制', unknown: '原因不明',
  },
  attach: {
    title: '入案卷', trackTitle: '轨迹入案卷', which: '放入哪个案卷', existing: '已有案卷', fresh: '新建案卷', purpose: '调取目的', purposeHint: '写明为什么调取，将记入审计日志', range: '时间范围', length: '时长', caseTitle: '案卷标题', submit: '入案卷', working: '服务器正在复制片段…', stillWorking: '片段较长，仍在复制；可以离开此页。',
    done: '已放入案卷 {no}', openCase: '打开案卷', noOpen: '没有未结的案卷，请新建。', gapsInside: '范围内有 {n} 处缺口，将记入证据清单', purposeMissing: '请写明调取目的', titleMissing: '请填写案卷标题', caseMissing: '请选择案卷', failed: '没有放入案卷', searchHint: '案卷号或标题',
  },
}
