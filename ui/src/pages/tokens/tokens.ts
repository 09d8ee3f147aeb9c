/** A page of names: `limit` after `after`. */
export const pageSize = 200
