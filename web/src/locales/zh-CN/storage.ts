export default {
  storage: {
    title: '存储', volume: '存储卷', state: '状态', used: '录像', held: '已保全', free: '剩余', perDay: '每日写入', holds: '可存天数', runway: '距写满', oldest: '最早录像', days: '{n} 天', hours: '{n} 小时', full: '已满', measuring: '正在测算',
    stateWord: { ok: '正常', degraded: '需处理', down: '停录' },
    floor: { short: '存不满法定的 {days} 天；约 {hours} 小时后，未满期的录像将开始被删除。', broken: '空间不足，未满 {days} 天的录像正在被删除。' },
    heldTitle: '保全录像', noHolds: '没有保全的录像。', camera: '摄像机', from: '起', to: '止', reason: '事由', lift: '解除', liftAsk: '解除对 {camera} 的保全？之后按保存规则处理，可能立即被删除。', since: '自 {time}',
  },
}
