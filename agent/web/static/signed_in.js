/* A small window that was opened for sign-in at the provider tells the page that waits, and closes. */
new BroadcastChannel("echo-session").postMessage("signed-in");
window.close();
