/** A time (seconds) as it stands in names of files: 20261129T211500Z. Later ones sort after earlier ones. */
export const timeName = (now: number): string => new Date(now * 1000).toISOString().replaceAll(/[-:]|\.\d+/g, '')
