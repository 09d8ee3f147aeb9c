import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { licences } from './scripts/licences.mjs'

// VAULT_ADDR is the server that `npm run dev` passes the API's requests on to.
export default defineConfig({
  base: '/ui/',
  plugins: [react(), licences()],
  build: {
    outDir: 'dist/app', // dist/ itself holds what is committed: the page of a program built without the UI
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // the policy of the page allows no data: but for images
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/v1': process.env.VAULT_ADDR ?? 'http://127.0.0.1:8200' } },
})
