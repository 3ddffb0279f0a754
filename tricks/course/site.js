// Parts headed "Deeper" are closed until they are wanted: in the sidebar's link to one, or by a word that was searched.
addEventListener('DOMContentLoaded', () => {
  for (const heading of document.querySelectorAll('section > h2')) {
    if (!heading.textContent.startsWith('Deeper')) continue;
    const section = heading.parentElement, details = document.createElement('details');
    details.className = 'deeper';
    details.append(document.createElement('summary'), ...section.childNodes);
    details.firstChild.append(heading);
    section.append(details);
  }
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === 'DETAILS') at.open = true;
    target.querySelector(':scope > details.deeper')?.setAttribute('open', '');
    target.scrollIntoView();
  };
  addEventListener('hashchange', open);
  addEventListener('beforeprint', () => document.querySelectorAll('details.deeper').forEach(part => part.open = true));
  open();
});
