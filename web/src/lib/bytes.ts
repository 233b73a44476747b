// Sizes of disks and files as disks are sold: powers of ten.
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

export function bytes(n: number): string {
  let unit = 0
  let value = n
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  const text = unit === 0 || value >= 99.5 ? value.toFixed(0) : value.toFixed(1)
  return `${text} ${UNITS[unit]}`
}
