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
    exact_cut: '精确剪辑', contact_sheet: '拼图', low_copy: '低码率副本',
    text: '说明', textHint: '写明依据（可选）', commentHint: '写下备注', clip: '录像', track: '轨迹', requested: '调取范围', delivered: '实际范围', purpose: '调取目的', by: '调取人', at: '调取时间', files: '文件', sha: 'SHA-256', derived: '由 {name} 生成', gaps: '缺口', noGaps: '范围内没有缺口', working: '正在复制…', failed: '复制失败', size: '大小', cannotPlay: '此浏览器不能播放这段录像的编码，请下载后查看', still: '静态画面', copySha: '复制校验值', points: '{n} 个点',
  },
  derive: {
    make: '生成：', working: '正在生成…', failed: '生成失败', recipe: '生成方式', of: '由证据 {no} 生成：',
    from: '起', to: '止', here: '取当前画面', cut: '生成剪辑', sheet: '生成拼图', columns: '列', rows: '行',
    cutHint: '逐帧准确，只含所选范围；能不重新编码的画面原样照抄，原始录像不变。', stillHint: '取播放器中当前画面，按原尺寸生成图片', lowHint: '宽 640 像素、约 400 千比特/秒，便于发送；原始录像不变',
    wrong: { order: '止点必须晚于起点', outside: '超出这段录像的范围', time: '时间请写成 14:03:07.250' },
    how: {
      exact_cut: '精确剪辑', both: '精确剪辑，{copied} 帧原样照抄，{encoded} 帧重新编码（{encoder}）', copied: '精确剪辑，{copied} 帧全部原样照抄，未重新编码', encoded: '精确剪辑，{encoded} 帧全部重新编码（{encoder}）',
      still: '取一帧画面存为图片', contact_sheet: '按等间隔取画面拼成 {columns} 列 {rows} 行，标注北京时间', low_copy: '全部重新编码为小尺寸低码率视频，仅供查看',
    },
  },
}
