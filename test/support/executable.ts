/** The single executable, where the tests are to drive that instead of the sources (`npm run test:binary`). */
export const executable = process.env.TESTED_EXECUTABLE
