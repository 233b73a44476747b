export default {
  cases: {
    title: '案卷', new: '新建案卷', no: '案卷号', name: '标题', category: '类别', state: '状态', opened: '立卷时间', openedBy: '立卷人', place: '地点', exhibits: '证据', searchHint: '案卷号、标题、地点', empty: '还没有案卷。在回放里标出一段录像入案卷，或点「新建案卷」。', noMatch: '没有符合条件的案卷。', count: '{n} 件', countMore: '{n} 件以上', keys: 'J/K 上下 · 回车 打开 · N 新建 · / 查找',
    stateWord: { reported: '上报', filed: '立案', closed: '结案', rejected: '不予立案' },
    source: { inspector: '巡查员', hotline: '热线', public: '公众', video: '视频', vehicle: '车辆', other: '其他' },
    sourceWord: '来源', occurred: '发生时间', address: '地址', description: '情况说明', area: '区划', coordinates: '坐标', closedBy: '结案人',
    placeHint: '点地图定位', placeFrom: '取自{what}', placeMissing: '请在地图上点出地点', titleMissing: '请填写标题', timeMissing: '发生时间不正确', create: '立卷',
    suggestedCategory: { muck: '渣土运输', street: '市容', sanitation: '环境卫生', facility: '公用设施', traffic: '交通秩序', other: '其他' },
  },
  caseOne: {
    facts: '基本情况', progress: '办理过程', media: '证据', actions: '办理', noExhibits: '还没有证据。到「回放」标出一段录像，按回车入案卷。', goPlayback: '去回放取证', bundle: '下载证据包', bundleNone: '没有证据可打包',
    action: { file: '立案', reject: '不予立案', close: '结案', comment: '备注' },
    event: { open: '立卷', opened: '立卷', reported: '上报', file: '立案', filed: '立案', reject: '不予立案', rejected: '不予立案', close: '结案', closed: '结案', comment: '备注', exhibit: '加入证据', attach: '加入证据', attached: '加入证据' },
    refused: { wrongState: '当前状态「{state}」不能{action}', permission: '当前岗位没有此权限（{permission}）', ownCase: '立卷或立案的人不能结案，需由他人结案' },
    text: '说明', textHint: '写明依据（可选）', commentHint: '写下备注', clip: '录像', track: '轨迹', requested: '调取范围', delivered: '实际范围', purpose: '调取目的', by: '调取人', at: '调取时间', files: '文件', sha: 'SHA-256', derived: '由 {name} 生成', gaps: '缺口', noGaps: '范围内没有缺口', working: '正在复制…', failed: '复制失败', size: '大小', cannotPlay: '此浏览器不能播放这段录像的编码，请下载后查看', still: '静态画面', copySha: '复制校验值', points: '{n} 个点',
  },
}
