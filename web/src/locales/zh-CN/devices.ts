export default {
  devices: {
    cameras: '摄像机', sources: '车辆数据源', rejected: '被拒绝的报文', health: '系统部件', add: '添加摄像机', edit: '修改摄像机', id: '编号', name: '名称', state: '状态', codec: '编码', fps: '帧率', kbps: '码率', coverage: '近 24 小时录像', size: '尺寸', since: '自 {time}', durable: '已落盘至 {time}', covered: '{percent}%',
    empty: '还没有摄像机。点「添加摄像机」，填上 RTSP 地址即可。', noSources: '没有车辆数据源。在配置文件里加入 MQTT 或 NMEA 来源。', noRejected: '没有被拒绝的报文。', source: '数据源', received: '收到', accepted: '接受', rejectedCount: '拒绝', rate: '每秒', lastError: '最近错误', topic: '主题', why: '原因', sample: '样例', time: '时间',
    sourceState: { connected: '已连接', connecting: '正在连接', down: '中断' }, partState: { ok: '正常', degraded: '降级', down: '中断' },
    form: { main: '主码流地址', sub: '子码流地址（可选）', mainHint: "rtsp://用户:密码{'@'}地址:554/路径", transport: '传输方式', transports: { tcp: 'TCP（推荐）', auto: '自动', udp: 'UDP 数据报', http: 'HTTP 隧道', tls: 'TLS 加密（rtsps）', multicast: '组播' }, policies: '容错策略（JSON，可空）', policiesWrong: '容错策略须为 JSON 对象', record: '录像', lon: '经度', lat: '纬度', heading: '朝向（度）', fov: '视角（度）', area: '区划代码', idHint: '自编号或 20 位国标编码', secretKept: '*** 表示保留原密码', idMissing: '请填写编号', nameMissing: '请填写名称', mainMissing: '地址须以 rtsp:// 或 rtsps:// 开头', areaMissing: '请填写区划代码，例如 610802' },
    removeAsk: '删除摄像机 {name}？已有录像保留到保存期满。', summary: '{ok} 台正常 / 共 {all} 台', lossShort: '丢包 {n}', clockShort: '摄像机时钟 {offset}',
  },
}
