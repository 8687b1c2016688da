// Keeps a key pair in IndexedDB. The browser stores the key itself, and no script gets to see the private part.

const STORE = 'keys';
const NAME = 'dpop';

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function withStore(mode, action) {
  const opening = indexedDB.open('playground', 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await done(opening);
  try {
    return await done(action(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

export const loadKey = () => withStore('readonly', (store) => store.get(NAME));
export const saveKey = (key) => withStore('readwrite', (store) => store.put(key, NAME));
export const forgetKey = () => withStore('readwrite', (store) => store.delete(NAME));
