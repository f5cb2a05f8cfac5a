import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFetchBudget } from '../../src/clients/fetch_budget.ts'

test('each of the three budgets holds for a minute, and what is refused takes from none [threats 202]', () => {
  const budget = createFetchBudget({ principal: 2, origin: 3, total: 5 })
  const take = (principal: string, origin: string, now: number) => budget.take(principal, origin, now)
  assert.equal(take('alice', 'a', 100), 0)
  assert.equal(take('alice', 'a', 100), 0)
  assert.equal(take('alice', 'b', 110), 50)
  assert.equal(take('bob', 'a', 110), 0)
  assert.equal(take('carol', 'a', 110), 50)
  assert.equal(take('bob', 'b', 110), 0)
  assert.equal(take('carol', 'b', 159), 0)
  assert.equal(take('dave', 'c', 159), 1)
  assert.equal(take('dave', 'c', 160), 0)
  assert.equal(take('alice', 'a', 160), 0)
})

test('a clock that jumps back opens a new window instead of closing it for long [threats 491]', () => {
  const budget = createFetchBudget({ principal: 1, origin: 1, total: 1 })
  assert.equal(budget.take('alice', 'a', 1_000_000), 0)
  assert.equal(budget.take('alice', 'a', 5), 0)
})
