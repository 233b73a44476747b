// How the console is built. ZHENBEI_URL points the development server at a running daemon.
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

const daemon = process.env.ZHENBEI_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [vue()],
  // The daemon serves the console at `/`; deep links such as /cases/42 need absolute asset paths.
  base: '/',
  resolve: { alias: { '@': new URL('./src', import.meta.url).pathname } },
  build: {
    target: 'es2022',
    chunkSizeWarningLimit: 1200,
    rolldownOptions: {
      output: {
        // Libraries change seldom: their own files stay in the browser's cache over an upgrade of the daemon.
        advancedChunks: {
          groups: [
            { name: 'map', test: /node_modules\/(maplibre-gl|pmtiles)/ },
            { name: 'vendor', test: /node_modules\/(vue|@vue|vue-router|pinia|vue-i18n|@intlify|element-plus|@element-plus)/ },
          ],
        },
      },
    },
  },
  worker: { format: 'es' },
  server: { proxy: { '/api': { target: daemon, ws: true, changeOrigin: false } } },
  test: { environment: 'node', include: ['tests/**/*.test.ts'] },
})
