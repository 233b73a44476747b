export default {
  storage: {
    title: 'Storage', volume: 'Volume', state: 'State', used: 'Recordings', held: 'Held', free: 'Free', perDay: 'Recorded a day', holds: 'Days it holds', runway: 'Until it is full', oldest: 'Oldest recording', days: '{n} days', hours: '{n} h', full: 'full', measuring: 'being measured',
    stateWord: { ok: 'OK', degraded: 'Needs attention', down: 'Not recording' },
    floor: { short: 'Will not hold the {days} days the law asks for; the first recordings younger than that go in about {hours} hours.', broken: 'Recordings younger than {days} days are being deleted for want of space.' },
    heldTitle: 'Held recordings', noHolds: 'Nothing is held.', camera: 'Camera', from: 'From', to: 'To', reason: 'Reason', lift: 'Lift', liftAsk: 'Lift the hold on {camera}? The rules of retention apply to it again and may delete it at once.', since: 'since {time}',
  },
}
