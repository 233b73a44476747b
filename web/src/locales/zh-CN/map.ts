export default {
  map: {
    vehicles: '车辆', cameras: '摄像机', classes: '车型', states: '状态', counts: '共 {n} 辆', loadingBase: '正在载入底图…', baseFailed: '底图载入失败', noVehicles: '还没有车辆位置。车辆接入后会自动出现。',
    noBase: '未配置底图', fit: '全城', search: '车牌或编号', trail: '近 30 分钟轨迹', trailPoints: '{n} 个点', trailNone: '近 30 分钟没有轨迹点', trailLoading: '正在载入轨迹…', follow: '跟随', attachTrail: '轨迹入案卷',
    webglMissing: '此浏览器不支持 WebGL，地图无法显示',
  },
  vehicle: {
    class: { sanitation: '环卫车', muck: '渣土车', bus: '公交车', taxi: '出租车', patrol: '巡查车', other: '其他' },
    mark: { sanitation: '环', muck: '渣', bus: '公', taxi: '出', patrol: '巡', other: '他' },
    state: { moving: '行驶', stopped: '停车', stale: '失联' },
    plate: '车牌', classWord: '车型', speed: '速度', course: '方向', age: '位置时效', source: '来源', flags: '标记', position: '位置', received: '接收时间', fixTime: '定位时间', noFlags: '无',
    flag: { future: '时间超前', stale_time: '时间过旧', null_island: '零坐标', jump: '位置跳变', duplicate: '重复', late: '迟到', no_checksum: '无校验', low_quality: '定位质量低', no_device_time: '无设备时间' },
    unknownVehicle: '登记表中没有此车',
  },
  compass: { n: '北', ne: '东北', e: '东', se: '东南', s: '南', sw: '西南', w: '西', nw: '西北' },
}
